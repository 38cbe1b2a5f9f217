"""Answers conditioned on a prefix: gists, a whole document, or nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from threading import Event, Thread
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from dnsity.data.batch import left_pad
from dnsity.data.text.chat import Turn
from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.sampling import GREEDY, Sampling
from dnsity.model.architectures import sliding_window
from dnsity.model.key_values import shared, slots_of, unpadded
from dnsity.model.uneven import is_uneven
from dnsity.shapes import KeyValues

__all__ = ["GREEDY", "Answer", "Sampling", "answer", "require_room", "stream", "stripped"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        question: The question.
        text: The answer.
        ttft_s: Seconds from the call to the first token (of the whole batch).
        seconds: Seconds of the whole call.
        new_tokens: Generated tokens, without the end token.
    """

    question: str
    text: str
    ttft_s: float
    seconds: float
    new_tokens: int

    def __str__(self) -> str:
        """Return the text of the answer."""
        return self.text


class _Stopped(StoppingCriteria):
    """Ends an answer when its reader has stopped."""

    def __init__(self) -> None:
        self.by_reader = Event()

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full(input_ids.shape[:1], self.by_reader.is_set(), device=input_ids.device)


class _TextParts(TextIteratorStreamer):
    """Decodes an answer as it is generated, without the token that ends it."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded.tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.end_ids = torch.tensor(loaded.end_ids)

    def put(self, value: Tensor) -> None:
        if self.next_tokens_are_prompt or not bool(torch.isin(value, self.end_ids).any()):
            super().put(value)  # type: ignore[no-untyped-call]


class _FirstToken(StoppingCriteria):
    """Never stops; records the time of the first token."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.at: float | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        if self.at is None:
            self.at = self.loaded.now()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A batch of questions, ready for `GistLM.generate`.

    Attributes:
        document: The document's slots, `[1 or B, K, G, D]` per layer; None: no document.
        uneven: Whether the document has different numbers of slots per head (`model/uneven`).
        prefix: Head and document for each question, `[B, K, H + G, D]` per layer.
        prefix_mask: True at real slots of the prefix.
        input_ids: The questions.
        attention_mask: True at real tokens of the questions.
    """

    document: KeyValues | None
    uneven: bool
    prefix: KeyValues | None
    prefix_mask: Bool[Tensor, "B slots"]
    input_ids: Int[Tensor, "B Q"]
    attention_mask: Bool[Tensor, "B Q"]

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return not bool(self.prefix_mask.all() and self.attention_mask.all())


@torch.inference_mode()
def answer(  # noqa: PLR0913 - all callers answer through this function
    loaded: LoadedModel,
    prefix: KeyValues | None,
    questions: Sequence[str],
    sampling: Sampling = GREEDY,
    *,
    turns: Sequence[Turn] = (),
    prefix_mask: Tensor | None = None,
    template: str | None = None,
    one_at_a_time: bool = False,
    begun: Sequence[str] | None = None,
) -> list[Answer]:
    """Answer a batch of questions about one document, or each about its own.

    The frame's head is put in front of the document. Prefixes are never written to.

    Args:
        loaded: Model and tokenizer.
        prefix: A document's slots, without the head: keys and values `[1, K, G, D]` per layer, or
            `[B, K, G, D]` for B questions; None for no document.
        questions: At least one, none empty.
        sampling: How tokens are chosen.
        turns: Earlier questions on this document and their answers, oldest first.
        prefix_mask: True at the real slots of prefixes of different lengths, `[B, G]`, which are
            padded on the left; None: all are real.
        template: Question template to use instead of the frame's.
        one_at_a_time: Run each question alone, so every answer is bitwise the same as alone. In a
            batch, answers can differ by rounding: see SECURITY.md, "Isolation".
        begun: First words of each answer, which the model continues (None: no words).

    Returns:
        One answer per question, in order, without its first words. White space around an answer is
        kept, because code is scored with its indentation; `stripped` removes it.

    Raises:
        BadInputError: If a question is empty or does not fit the model's window.
    """
    started = loaded.now()
    # In a batch of documents with different numbers of slots per head, the zeros that pad a shorter
    # document would count as its positions.
    alone = len(questions) > 1 and (
        one_at_a_time or (prefix_mask is not None and is_uneven(prefix, prefix_mask))
    )
    if not alone:
        prompt = _prompt(
            loaded, prefix, questions, sampling, prefix_mask, template, turns=turns, begun=begun
        )
        # `generate` counts a sliding window in cache slots, so padding would use it up.
        alone = prompt.padded and sliding_window(loaded.lm.base.config) is not None
    if not alone:
        return _answers(loaded, prompt, questions, sampling, started)
    own = unpadded(prefix, prefix_mask, len(questions))
    words = [None] * len(questions) if begun is None else [[each] for each in begun]
    return [
        answer(loaded, layers, [question], sampling, turns=turns, template=template, begun=first)[0]
        for layers, question, first in zip(own, questions, words, strict=True)
    ]


def _answers(
    loaded: LoadedModel,
    prompt: _Prompt,
    questions: Sequence[str],
    sampling: Sampling,
    started: float,
) -> list[Answer]:
    """Generate the answers to a batch in one call, and measure it."""
    first = _FirstToken(loaded)
    rows = _generate(loaded, prompt, sampling, stopping_criteria=StoppingCriteriaList([first]))
    seconds = loaded.now() - started
    ttft = (first.at or started + seconds) - started
    answers = []
    for question, row in zip(questions, rows.tolist(), strict=True):
        ids = list(takewhile(lambda index: index not in loaded.end_ids, row))
        answers.append(Answer(question, loaded.encoder.decode(ids), ttft, seconds, len(ids)))
    return answers


def _generate(
    loaded: LoadedModel, prompt: _Prompt, sampling: Sampling, **settings: Any
) -> Int[Tensor, "B T"]:
    """Return the new tokens of a batch."""
    with loaded.answering(prompt.document, uneven=prompt.uneven) as base:
        return loaded.lm.generate(
            prompt.prefix,
            prompt.input_ids,
            prompt.attention_mask,
            prefix_mask=prompt.prefix_mask,
            base=base,
            pad_token_id=loaded.encoder.eos_id,
            eos_token_id=loaded.end_ids,
            **sampling.arguments(),
            **settings,
        )


def stripped(answers: Sequence[Answer]) -> list[Answer]:
    """Return answers without surrounding white space."""
    return [replace(each, text=each.text.strip()) for each in answers]


def stream(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    question: str,
    sampling: Sampling = GREEDY,
    *,
    turns: Sequence[Turn] = (),
) -> Generator[str]:
    """Yield the answer to one question in parts: the text of `stripped(answer(...))`.

    Generation ends when the caller stops reading.

    Raises:
        BadInputError: As `answer`, before the first part.
    """
    prompt = _prompt(loaded, prefix, [question], sampling, turns=turns)
    parts = _TextParts(loaded)
    failed: list[BaseException] = []
    stopped = _Stopped()

    def run() -> None:
        try:
            with torch.inference_mode():
                _generate(
                    loaded,
                    prompt,
                    sampling,
                    streamer=parts,
                    stopping_criteria=StoppingCriteriaList([stopped]),
                )
        except BaseException as error:  # raised in the consumer, which would wait forever
            failed.append(error)
            parts.end()  # type: ignore[no-untyped-call]

    worker = Thread(target=run, daemon=True)
    worker.start()
    try:
        yield from _without_outer_space(parts)
    finally:
        stopped.by_reader.set()
        worker.join()
    if failed:
        raise failed[0]


def _without_outer_space(parts: Iterable[str]) -> Iterator[str]:
    """Yield text without white space at its start and end; white space waits for what follows."""
    started, waiting = False, ""
    for part in parts:
        text = waiting + part if started else part.lstrip()
        shown = text.rstrip()
        waiting = text[len(shown) :]
        if shown:
            started = True
            yield shown


def _prompt(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    questions: Sequence[str],
    sampling: Sampling,
    prefix_mask: Tensor | None = None,
    template: str | None = None,
    *,
    turns: Sequence[Turn] = (),
    begun: Sequence[str] | None = None,
) -> _Prompt:
    """Encode questions in the prompt format, with the head before the document."""
    # In a template of the caller a question may be a mere line break.
    asked = questions if template is not None else [question.strip() for question in questions]
    if not questions or not all(asked):
        raise BadInputError("a question is empty; ask something")
    frame = loaded.frame if template is None else Plain(loaded.encoder, template)
    alone = prefix is None
    if turns:
        rows = [frame.conversation(turns, question) for question in asked]
    else:
        rows = [frame.question(question, alone=alone) for question in asked]
    for row, words in zip(rows, begun or (), strict=False):
        row += frame.continuation(frame.space + words)
    if alone:
        rows = [loaded.frame.head + row for row in rows]
    input_ids, mask = left_pad(rows, loaded.encoder.eos_id)
    whole = None if prefix is None else loaded.after_head(prefix)
    slots = slots_of(whole)
    require_room(loaded, slots, input_ids.shape[1], sampling.max_new_tokens)
    before = torch.ones(len(rows), slots, dtype=torch.bool)
    if prefix_mask is not None:
        before[:, slots - prefix_mask.shape[1] :] = prefix_mask
    return _Prompt(
        prefix,
        is_uneven(prefix, prefix_mask),
        None if whole is None else shared(whole, len(rows)),
        before.to(loaded.device),
        input_ids.to(loaded.device),
        mask.to(loaded.device),
    )


def _arguments(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    questions: Sequence[str],
    sampling: Sampling,
    *,
    template: str | None = None,
) -> dict[str, Tensor]:
    """Return the encoded questions by name; scripts outside the package inspect them."""
    prompt = _prompt(loaded, prefix, questions, sampling, template=template)
    return {"input_ids": prompt.input_ids}


def require_room(loaded: LoadedModel, slots: int, tokens: int, new: int) -> None:
    """Refuse a prompt and an answer that do not fit the base's positions.

    Raises:
        BadInputError: If prefix slots, question tokens and new tokens are too many together.
    """
    longest = slots + tokens + new
    if longest > loaded.max_positions:
        raise BadInputError(
            f"{slots} slots, a question of {tokens} tokens and up to {new} new ones make "
            f"{longest}, this model takes {loaded.max_positions}; shorten the question or the "
            "document, or allow fewer new tokens"
        )
