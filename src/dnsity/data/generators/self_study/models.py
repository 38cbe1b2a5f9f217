"""Models that write questions: any HuggingFace causal LM, or any OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from dnsity.errors import BadInputError, first_line

Generator = Callable[[str, int], str]
"""Prompt and the most new tokens -> the model's reply."""

_LONGEST_WAIT_S = 300.0
_FIRST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an OpenAI-compatible server listens and how to treat it.

    Attributes:
        base_url: Up to and without ``/chat/completions``, e.g. ``http://localhost:8000/v1``.
        model: The model's name there.
        api_key_variable: The environment variable that holds the key; if it is not set, no key
            is sent, which suits local servers.
        timeout_s: Longest wait for one reply.
        attempts: Tries for one prompt, the first included.
        requests_per_minute: No more than this many requests are started in a minute.
        temperature: 0 makes replies as repeatable as the server allows.
    """

    base_url: str
    model: str
    api_key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    attempts: int = 6
    requests_per_minute: float = 60.0
    temperature: float = 0.0


class _TryAgainError(Exception):
    """A failure that may pass; `wait_s` is what the server asked for."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to a server nobody named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def endpoint_generator(
    endpoint: Endpoint,
    sleep: Callable[[float], None] = time.sleep,
    handlers: Sequence[urllib.request.BaseHandler] = (),
) -> Generator:
    """Make a generator that asks an OpenAI-compatible server.

    Args:
        endpoint: The server.
        sleep: How to wait; exchanged in tests.
        handlers: Further ways to connect, for urllib: a proxy, certificates, a Unix socket.

    Returns:
        A generator. It raises `BadInputError` for a wrong key, address or model, for a server
        that cannot be reached, and when every try has failed.

    Raises:
        BadInputError: If `base_url` is no http or https address.
    """
    if urllib.parse.urlsplit(endpoint.base_url).scheme not in ("http", "https"):
        raise BadInputError(
            f"base_url {endpoint.base_url!r}: give an http:// or https:// address, "
            "e.g. http://localhost:8000/v1"
        )
    opener = urllib.request.build_opener(_NoRedirect, *handlers)
    next_start = 0.0

    def generate(prompt: str, max_new_tokens: int) -> str:
        nonlocal next_start
        backoff_s, reason = _FIRST_WAIT_S, ""
        for attempt in range(endpoint.attempts):
            pause_s = next_start - time.monotonic()
            if pause_s > 0:
                sleep(pause_s)
            next_start = time.monotonic() + 60.0 / endpoint.requests_per_minute
            try:
                return _ask(endpoint, opener, prompt, max_new_tokens)
            except _TryAgainError as error:
                reason = str(error)
                if attempt + 1 < endpoint.attempts:
                    wait_s = backoff_s if error.wait_s is None else error.wait_s
                    sleep(min(wait_s, _LONGEST_WAIT_S))
                backoff_s *= 2
        raise BadInputError(
            f"{endpoint.base_url} failed {endpoint.attempts} times, last with {reason}; "
            "run again later, finished work is kept"
        )

    return generate


def hf_generator(model: str, device: str = "cpu") -> Generator:
    """Make a generator from a HuggingFace causal LM; it is loaded at the first prompt.

    Args:
        model: A directory or hub id. If its tokenizer has a chat template, that is used.
        device: A torch device.

    Returns:
        A generator that decodes greedily, so the same prompt gives the same reply. It raises
        `BadInputError` if the model cannot be loaded.
    """
    loaded: list[Any] = []

    def generate(prompt: str, max_new_tokens: int) -> str:
        if not loaded:
            loaded.extend(_load(model, device))
        tokenizer, lm = loaded
        if tokenizer.chat_template:
            chat = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(
            prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template
        ).to(device)
        output = lm.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
        new_ids = output[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new_ids, skip_special_tokens=True))

    return generate


def _load(model: str, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        lm = AutoModelForCausalLM.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"cannot load {model}: {first_line(error)}; give a directory or a hub id"
        ) from error
    mover: Any = lm  # the type of `to` is lost in a decorator of transformers
    mover.to(device)
    return tokenizer, lm.eval()


def _ask(
    endpoint: Endpoint, opener: urllib.request.OpenerDirector, prompt: str, max_new_tokens: int
) -> str:
    """One request; errors are sorted into those that may pass and those that will not."""
    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_new_tokens,
        "temperature": endpoint.temperature,
    }
    headers = {"Content-Type": "application/json"}
    key = os.environ.get(endpoint.api_key_variable)
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode("utf-8"), headers)
    try:
        with opener.open(request, timeout=endpoint.timeout_s) as response:
            return _content(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise _sorted(error.code, error.headers, url, endpoint) from error
    except (TimeoutError, ConnectionResetError) as error:
        raise _TryAgainError("a timeout or a dropped connection") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError | ConnectionResetError):
            raise _TryAgainError("a timeout or a dropped connection") from error
        raise BadInputError(
            f"cannot reach {url}: {error.reason}; check base_url and that the server runs"
        ) from error


def _sorted(status: int, headers: Message, url: str, endpoint: Endpoint) -> Exception:
    """The error for a status."""
    if status == 429 or status >= 500:
        return _TryAgainError(f"HTTP {status}", _retry_after_s(headers.get("Retry-After")))
    if status in (401, 403):
        return BadInputError(
            f"{url} refused the key (HTTP {status}); set {endpoint.api_key_variable} "
            "in the environment"
        )
    if status == 404:
        return BadInputError(
            f"{url} does not exist or has no model {endpoint.model!r} (HTTP 404); "
            "check base_url and the model's name"
        )
    return BadInputError(f"{url} refused the request (HTTP {status})")


def _retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds either those or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def _content(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _TryAgainError("a reply that is no chat completion") from error
    return content if isinstance(content, str) else ""
