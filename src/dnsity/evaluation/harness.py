"""A model for the lm-evaluation-harness that compresses each task's documents by a method.

    prompt of a task    [examples] Passage: <document> Question: ... Answer:
                                                |
                  cut out, ingested once <------+
                  |
    what runs            KV cache | [examples] Passage:  Question: ... Answer:

Harness prompts have their own format, so they follow the document without the model's question
template. Import this module, then name the model:

    >>> import dnsity.evaluation.harness
    >>> lm_eval.simple_evaluate("dnsity", "pretrained=mini,context_field=passage", tasks=["boolq"])
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch

from dnsity.errors import BadInputError
from dnsity.evaluation.method import Ingested
from dnsity.evaluation.methods import METHODS, build
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_model import GistModel
from dnsity.inference.hardware import require_device
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.loaded import LoadedModel
from dnsity.shapes import KeyValues

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
    from lm_eval.models.utils import normalize_gen_kwargs
except ImportError as error:
    raise BadInputError(
        "this needs the lm-evaluation-harness, 0.4.13 or later; pip install dnsity[harness]"
    ) from error

_LOG = logging.getLogger(__name__)
_BARE = "{question}"
_KEPT = 8
"""Documents cached between calls; requests are grouped by document within a call."""


@register_model("dnsity")
class DnsityLM(LM):  # type: ignore[misc]
    """A model for `lm_eval.simple_evaluate` that compresses each task's documents by a method."""

    def __init__(
        self,
        pretrained: str | GistModel | LoadedModel,
        context_field: str | None = None,
        *,
        method: str = "gist",
        device: str = "cpu",
        dtype: str = "float32",
        max_gen_toks: int = 256,
        batch_size: object = None,
        max_batch_size: object = None,
    ) -> None:
        """Load a model.

        Args:
            pretrained: A name that `GistModel.from_pretrained` accepts, or a loaded model.
            context_field: Field of a task's docs that contains the document. None: there are no
                documents, and prompts are used unchanged.
            method: Method that compresses a document, a name in `evaluation.methods.METHODS`.
            device: Device to load the model on; ignored for a loaded model.
            dtype: Compute type to load the model in; ignored for a loaded model.
            max_gen_toks: Maximum length of an answer if the task sets none.
            batch_size: Ignored; questions run one by one, the choices of a question in one batch.
            max_batch_size: Ignored, as `batch_size` is; the harness passes both.

        Raises:
            BadInputError: If the model, method, device or type does not exist.
        """
        super().__init__()
        if isinstance(pretrained, str):
            require_device(device)
            pretrained = GistModel.from_pretrained(
                pretrained, device=device, dtype=_torch_type(dtype)
            )
        self.loaded = pretrained.loaded if isinstance(pretrained, GistModel) else pretrained
        # An uncut document leaves room for the answer and for the question (256, as elsewhere).
        self.method = build(method, self.loaded, reserve=256 + max_gen_toks)
        if self.method.other_document:
            known = [name for name, known in METHODS.items() if not known.other_document]
            raise BadInputError(
                f"method {method!r} needs a second document, which a harness task does not have; "
                f"use one of {', '.join(known)}"
            )
        if context_field is None:
            _LOG.warning("no context_field: prompts are used unchanged, nothing is compressed")
        self.context_field = context_field
        self.max_gen_toks = max_gen_toks
        self._ingested = lru_cache(_KEPT)(self._ingest)

    def get_model_info(self) -> dict[str, Any]:
        """Return the model description that the harness stores with its results."""
        return {
            "pretrained": self.loaded.name,
            "context_field": self.context_field,
            "method": self.method.name,
            "gists": self.loaded.lm.spec.gists,
        }

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Score continuations of prompts.

        Returns:
            Per request the log-likelihood, and whether greedy decoding gives the continuation.

        Raises:
            BadInputError: If a prompt does not contain its document, or does not fit the model.
        """
        asked, continuations = [], []
        for (document, question), request in zip(self._cut(requests), requests, strict=True):
            question, continuation = _move_space(question, request.args[1])
            asked.append((document, question))
            continuations.append(continuation)
        found: dict[int, tuple[float, bool]] = {}
        for (document, question), numbers in _grouped(asked):
            scored = likelihoods(
                self.loaded,
                self._prefix(document, question),
                question,
                [continuations[number] for number in numbers],
                template=_BARE,
            )
            for number, likelihood in zip(numbers, scored, strict=True):
                found[number] = likelihood.log, likelihood.greedy
        return [found[number] for number in range(len(requests))]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Generate answers, cut at the task's stop strings.

        Raises:
            BadInputError: If a prompt does not contain its document or does not fit the model, or
                if the task asks for an unsupported decoding method.
        """
        asked = self._cut(requests)
        decoding = [self._decoding(request.args[1]) for request in requests]
        found: dict[int, str] = {}
        for (document, question), numbers in _grouped(asked):
            for number in numbers:
                sampling, stops = decoding[number]
                prefix = self._prefix(document, question)
                [given] = answer(self.loaded, prefix, [question], sampling, template=_BARE)
                found[number] = _cut_at(given.text, stops)
        return [found[number] for number in range(len(requests))]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Refuse tasks that score a whole text, since these have no document and question.

        Raises:
            BadInputError: Always.
        """
        raise BadInputError(
            "tasks that score a whole text (loglikelihood_rolling) have no document and question; "
            "run them on the base model with --model hf of the harness"
        )

    def _cut(self, requests: Sequence[Any]) -> list[tuple[str, str]]:
        """Split each request into its document (empty if there is none) and the rest."""
        found = [self._cut_one(request.args[0], request.doc) for request in requests]
        repeated = sum(bool(document) and document in question for document, question in found)
        if repeated:
            _LOG.warning(
                "%d of %d prompts contain their document twice, as few-shot examples on the same "
                "text do; the second copy is not compressed",
                repeated,
                len(found),
            )
        return found

    def _cut_one(self, prompt: str, doc: dict[str, Any]) -> tuple[str, str]:
        """Split a prompt into its document, which is the context field's text, and the rest."""
        field = self.context_field
        if field is None or not prompt:  # an empty prompt scores the continuation alone
            return "", prompt
        document = doc.get(field)
        if not isinstance(document, str):
            found = f"is a {type(document).__name__}" if field in doc else "does not exist"
            texts = [key for key, value in doc.items() if isinstance(value, str)]
            raise BadInputError(
                f"context_field {field!r} {found} in this task and must be a text; fields with "
                f"text are: {', '.join(texts) or 'none'}"
            )
        # Unchanged, else stripped as by templates. The last match counts: examples come first.
        for text in (document, document.strip()):
            before, cut, after = prompt.rpartition(text) if text else ("", "", "")
            if cut:
                return text, before + after or "\n"  # an answer needs a token before it
        raise BadInputError(
            f"the prompt does not contain the text of context_field {field!r} (fields: "
            f"{', '.join(doc)}); name the field that doc_to_text puts into the prompt verbatim, or "
            "let the task's process_docs make one"
        )

    def _prefix(self, document: str, question: str) -> KeyValues | None:
        """Return the KV cache that precedes a question."""
        if not document:
            return None
        return self.method.context(self._ingested(document), question).layers

    def _ingest(self, document: str) -> Ingested:
        ingested = self.method.ingest(document)
        if ingested.note:
            _LOG.warning("%s: %s", self.method.name, ingested.note)
        return ingested

    def _decoding(self, arguments: dict[str, Any]) -> tuple[Sampling, list[str]]:
        """Translate a task's `generation_kwargs`."""
        given = dict(normalize_gen_kwargs(arguments, self.max_gen_toks))
        stops = [stop for stop in given.pop("until") if stop]
        length, sampled = given.pop("max_gen_toks"), given.pop("do_sample")
        temperature, top_p = given.pop("temperature", 1.0), given.pop("top_p", 1.0)
        if given.pop("num_beams", 1) != 1 or given:
            raise BadInputError(
                f"generation_kwargs {arguments} ask for more than until, max_gen_toks, do_sample, "
                "temperature and top_p (num_beams: 1 at most); change the task"
            )
        return Sampling(length, float(temperature) if sampled else 0.0, float(top_p)), stops


def _torch_type(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise BadInputError(f"no dtype {name!r}; use float32, bfloat16 or float16")
    return found


def _move_space(question: str, continuation: str) -> tuple[str, str]:
    """Move white space from the end of a question to the start of its continuation.

    The first token of the continuation includes it; the harness does the same for its models.
    """
    stem = question.rstrip()
    return (stem, question[len(stem) :] + continuation) if stem else (question, continuation)


def _grouped(asked: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, str], list[int]]]:
    """Group the indices of equal (document, question) pairs, sorted by document."""
    order = sorted(range(len(asked)), key=asked.__getitem__)
    return [(key, list(numbers)) for key, numbers in groupby(order, key=asked.__getitem__)]


def _cut_at(text: str, stops: Sequence[str]) -> str:
    """Return the text before the first stop string."""
    for stop in stops:
        text = text.split(stop)[0]
    return text
