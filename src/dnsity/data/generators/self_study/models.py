"""Models that write questions: any Hugging Face causal LM, or any OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dnsity.errors import BadInputError, first_line

if TYPE_CHECKING:
    import httpx

Generator = Callable[[str, int], str]
"""Maps a prompt and a maximum number of new tokens to the model's reply."""

_LONGEST_WAIT_S = 300.0
_FIRST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible server, and how to call it.

    Attributes:
        base_url: Its address without ``/chat/completions``, e.g. ``http://localhost:8000/v1``.
        model: The model's name there.
        api_key_variable: Environment variable with the API key. If it is not set, no key is sent,
            as local servers expect.
        timeout_s: Longest wait for one reply.
        attempts: Requests per prompt, the first one included.
        requests_per_minute: Limit on the requests started in a minute.
        temperature: Sampling temperature; 0 makes replies as repeatable as the server allows.
    """

    base_url: str
    model: str
    api_key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    attempts: int = 6
    requests_per_minute: float = 60.0
    temperature: float = 0.0


class _TryAgainError(Exception):
    """A temporary failure; `wait_s` is the wait that the server asks for."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def endpoint_generator(
    endpoint: Endpoint,
    sleep: Callable[[float], None] = time.sleep,
    transport: httpx.BaseTransport | None = None,
) -> Generator:
    """Return a generator that calls an OpenAI-compatible server.

    Redirects are not followed: one could send the key to another server.

    Args:
        endpoint: The server.
        sleep: Waits so many seconds; tests replace it.
        transport: Replaces httpx's own transport, for example by one over a Unix socket.

    Returns:
        A generator that raises `BadInputError` for a wrong key, address or model, for a server
        that cannot be reached, and when every attempt failed.

    Raises:
        BadInputError: If `base_url` is not an http or https address.
    """
    import httpx

    try:
        scheme = httpx.URL(endpoint.base_url).scheme
    except httpx.InvalidURL:
        scheme = ""
    if scheme not in ("http", "https"):
        raise BadInputError(
            f"base_url {endpoint.base_url!r}: give an http:// or https:// address, "
            "e.g. http://localhost:8000/v1"
        )
    client = httpx.Client(transport=transport, timeout=endpoint.timeout_s, follow_redirects=False)
    pause = partial(_Pace(60.0 / endpoint.requests_per_minute).wait, sleep)

    def generate(prompt: str, max_new_tokens: int) -> str:
        backoff_s, reason = _FIRST_WAIT_S, ""
        for attempt in range(endpoint.attempts):
            pause()
            try:
                return _ask(endpoint, client, prompt, max_new_tokens)
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


@dataclass(slots=True)
class _Pace:
    """Spaces out requests; the first one starts at once."""

    seconds: float
    next_start: float = 0.0

    def wait(self, sleep: Callable[[float], None]) -> None:
        pause_s = self.next_start - time.monotonic()
        if pause_s > 0:
            sleep(pause_s)
        self.next_start = time.monotonic() + self.seconds


def hf_generator(model: str) -> Generator:
    """Return a generator that runs a Hugging Face causal LM on the CPU, loaded at the first prompt.

    Args:
        model: A directory or hub id. The chat template of its tokenizer is used if it has one.

    Returns:
        A generator that decodes greedily, so the same prompt gives the same reply. It raises
        `BadInputError` if the model cannot be loaded.
    """
    loaded: list[Any] = []

    def generate(prompt: str, max_new_tokens: int) -> str:
        if not loaded:
            loaded.extend(_load(model))
        tokenizer, lm = loaded
        if tokenizer.chat_template:
            chat = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(
            prompt, return_tensors="pt", add_special_tokens=not tokenizer.chat_template
        )
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


def _load(model: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        lm = AutoModelForCausalLM.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"cannot load {model}: {first_line(error)}; give a directory or a hub id"
        ) from error
    return tokenizer, lm.eval()


def _ask(endpoint: Endpoint, client: httpx.Client, prompt: str, max_new_tokens: int) -> str:
    """Send one request; raise `_TryAgainError` for temporary failures, `BadInputError` else."""
    import httpx

    url = f"{endpoint.base_url.rstrip('/')}/chat/completions"
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_new_tokens,
        "temperature": endpoint.temperature,
    }
    key = os.environ.get(endpoint.api_key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    dropped = (
        httpx.TimeoutException,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
    )
    try:
        response = client.post(url, json=body, headers=headers)
    except dropped as error:
        raise _TryAgainError("a timeout or a dropped connection") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BadInputError(
            f"cannot reach {url}: {first_line(error)}; check base_url and that the server runs"
        ) from error
    if not response.is_success:
        raise _error_of(response, url, endpoint)
    return _content(response.content)


def _error_of(response: httpx.Response, url: str, endpoint: Endpoint) -> Exception:
    """Return the error for an HTTP status."""
    status = response.status_code
    if status == 429 or status >= 500:
        return _TryAgainError(f"HTTP {status}", _retry_after_s(response.headers.get("Retry-After")))
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
    """Return the seconds of a Retry-After header, which has a number of seconds or a date."""
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
        raise _TryAgainError("a reply that is not a chat completion") from error
    return content if isinstance(content, str) else ""
