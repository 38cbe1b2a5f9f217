"""Answers from a prefix: gists, a document read in full, or nothing."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from threading import Event, Thread
from typing import Any, cast

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TextIteratorStreamer,
    TopPLogitsWarper,
)

from dnsity.config import MOST
from dnsity.data.collate import left_pad
from dnsity.data.text.chat import Turn
from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.inference.loaded import LoadedModel
from dnsity.model import backbone
from dnsity.model.architectures import sliding_window
from dnsity.model.key_values import shared, unpadded
from dnsity.model.uneven import is_uneven
from dnsity.shapes import KeyValues


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        question: As asked.
        text: The answer.
        ttft_s: Seconds from the call to the first token (of the whole batch).
        seconds: Seconds for the whole call.
        new_tokens: Tokens generated, the end token not counted.
    """

    question: str
    text: str
    ttft_s: float
    seconds: float
    new_tokens: int

    def __str__(self) -> str:
        """Return the answer itself."""
        return self.text


_COLDEST, _HOTTEST, _LEAST_TOP_P = 0.001, 1_000_000, 1e-6
"""Beyond these, logits over a temperature are infinite or all alike."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy.

    Attributes:
        max_new_tokens: Length of an answer at most.
        temperature: Above 0 tokens are sampled.
        top_p: Sample from the likeliest tokens that make up so much probability.
        seed: Of a call: the same call gives the same answers (None: others each time). The random
            state of the caller is neither used nor changed.
    """

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            BadInputError: If a value is out of range.
        """
        warm = self.temperature == 0 or _COLDEST <= self.temperature <= _HOTTEST
        seeded = self.seed is None or 0 <= self.seed < 2**32
        few = 1 <= self.max_new_tokens <= MOST
        if not (few and warm and _LEAST_TOP_P <= self.top_p <= 1 and seeded):
            raise BadInputError(
                f"needs max_new_tokens >= 1, temperature 0 or {_COLDEST} to {_HOTTEST}, top_p "
                f"{_LEAST_TOP_P} to 1 and seed 0 to {2**32 - 1}, got {self}"
            )

    def arguments(self) -> dict[str, Any]:
        """Return `generate`'s arguments, overruling what the base's generation_config.json says."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": 1,
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "do_sample": False,  # `_Chooser` samples, without the caller's random state
            "logits_processor": LogitsProcessorList([_Chooser(self)]),
        }


class _Chooser(LogitsProcessor):
    """Leaves one token to choose, sampled with a random state of its own.

    So no call touches the random state of its caller, and no thread that of another.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.seed = sampling.seed
        self.warpers: list[LogitsProcessor] = []
        if sampling.temperature > 0:
            self.warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
            if sampling.top_p < 1:
                self.warpers.append(TopPLogitsWarper(sampling.top_p))
        self.generator: torch.Generator | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if bool(scores.isnan().any()):
            raise UnsupportedModelError(
                "the model computes logits that are not numbers, there is no answer; if it runs in "
                'float16 use --dtype bfloat16 or float32 (in Python dtype="bfloat16")'
            )
        if not self.warpers:
            return scores
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        if self.generator is None:
            self.generator = torch.Generator(scores.device)
            if self.seed is None:
                self.generator.seed()
            else:
                self.generator.manual_seed(self.seed)
        shares = scores.softmax(dim=-1)
        chosen = torch.multinomial(shares, 1, generator=self.generator)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


GREEDY = Sampling()


class _Stopped(StoppingCriteria):
    """Ends an answer once nobody waits for it."""

    def __init__(self) -> None:
        self.by_reader = Event()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full(input_ids.shape[:1], self.by_reader.is_set(), device=input_ids.device)


class _Pieces(TextIteratorStreamer):
    """Decodes an answer as it is generated, without the token that ends it."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(loaded.tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.end_ids = torch.tensor(loaded.end_ids)

    def put(self, value: torch.Tensor) -> None:
        if self.next_tokens_are_prompt or not bool(torch.isin(value, self.end_ids).any()):
            super().put(value)  # type: ignore[no-untyped-call]


class _FirstToken(StoppingCriteria):
    """Never stops anything; notes when the first token is there."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.at: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        if self.at is None:
            self.at = self.loaded.now()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def answer(  # noqa: PLR0913 - the one way to an answer has what every caller needs
    loaded: LoadedModel,
    prefix: KeyValues | None,
    questions: Sequence[str],
    sampling: Sampling = GREEDY,
    *,
    turns: Sequence[Turn] = (),
    prefix_mask: torch.Tensor | None = None,
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
        sampling: How to choose tokens.
        turns: Earlier questions on this document and their answers, oldest first.
        prefix_mask: True at the real slots of prefixes of different lengths, `[B, G]`, which are
            padded on the left; None: all are real.
        template: Question template to use in the place of the frame's.
        one_at_a_time: Run each question alone, so that every answer is what it is alone to the
            last bit. In a batch it can differ by rounding: see SECURITY.md, "Isolation".
        begun: First words of each answer, which the model continues (None: it starts the answer).

    Returns:
        One answer per question, in order, without the words it was begun with. White space around
        it is part of it here: code is scored with its indentation. `bare` drops it for people.

    Raises:
        BadInputError: If a question is empty or does not fit the model's window.
    """
    started = loaded.now()
    first = _FirstToken(loaded)
    uneven = is_uneven(prefix, prefix_mask)
    several = len(questions) > 1
    # Where heads hold different numbers of slots, zeros that pad a shorter document in a batch
    # would count as its positions.
    alone = several and (one_at_a_time or (uneven and prefix_mask is not None))
    if not alone:
        arguments = _arguments(
            loaded, prefix, questions, sampling, prefix_mask, template, turns, begun
        )
        padded = not bool(arguments["attention_mask"].all())
        # `generate` counts a sliding window in cache slots: padding would use it up.
        alone = padded and sliding_window(loaded.lm.base.config) is not None
    if alone:
        return [
            answer(
                loaded,
                own,
                [question],
                sampling,
                turns=turns,
                template=template,
                begun=None if begun is None else [begun[number]],
            )[0]
            for number, (question, own) in enumerate(
                zip(questions, unpadded(prefix, prefix_mask, len(questions)), strict=True)
            )
        ]
    with loaded.answering(prefix, uneven=uneven) as base:
        output = cast(Any, base).generate(
            **arguments, stopping_criteria=StoppingCriteriaList([first])
        )
    seconds = loaded.now() - started
    answers = []
    for question, row in zip(questions, output[:, arguments["input_ids"].shape[1] :], strict=True):
        ids = list(takewhile(lambda index: index not in loaded.end_ids, row.tolist()))
        text = loaded.encoder.decode(ids)
        ttft = (first.at or started + seconds) - started
        answers.append(Answer(question, text, ttft, seconds, len(ids)))
    return answers


def bare(answers: Sequence[Answer]) -> list[Answer]:
    """Return answers without the white space around them."""
    return [replace(each, text=each.text.strip()) for each in answers]


def stream(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    question: str,
    sampling: Sampling = GREEDY,
    *,
    turns: Sequence[Turn] = (),
) -> Generator[str]:
    """Yield the answer to one question piece by piece; the text of `bare(answer(...))`.

    Who stops reading stops the answer, too.

    Raises:
        BadInputError: As `answer`, before the first piece.
    """
    arguments = _arguments(loaded, prefix, [question], sampling, turns=turns)
    pieces = _Pieces(loaded)
    failed: list[BaseException] = []
    stopped = _Stopped()

    def run() -> None:
        try:
            with (
                torch.inference_mode(),
                loaded.answering(prefix, uneven=is_uneven(prefix)) as base,
            ):
                cast(Any, base).generate(
                    **arguments,
                    streamer=pieces,
                    stopping_criteria=StoppingCriteriaList([stopped]),
                )
        except BaseException as error:  # handed to the consumer, who else would wait forever
            failed.append(error)
            pieces.end()  # type: ignore[no-untyped-call]

    worker = Thread(target=run, daemon=True)
    worker.start()
    started, held = False, ""
    try:
        for piece in pieces:  # white space around the answer is no part of it: wait what follows
            text = held + piece if started else piece.lstrip()
            shown = text.rstrip()
            held = text[len(shown) :]
            if shown:
                started = True
                yield shown
    finally:
        stopped.by_reader.set()
        worker.join()
    if failed:
        raise failed[0]


def _arguments(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    questions: Sequence[str],
    sampling: Sampling,
    prefix_mask: torch.Tensor | None = None,
    template: str | None = None,
    turns: Sequence[Turn] = (),
    begun: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Prepare `generate`: the mask covers prefix and question, else question tokens are dropped."""
    # In a template of the caller's a question may be a mere line break.
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
    slots = 0 if whole is None else whole[0][0].shape[-2]
    require_room(loaded, slots, input_ids.shape[1], sampling.max_new_tokens)
    before = torch.ones(len(rows), slots, dtype=torch.bool)
    if prefix_mask is not None:
        before[:, slots - prefix_mask.shape[1] :] = prefix_mask
    return {
        "input_ids": input_ids.to(loaded.device),
        "attention_mask": torch.cat([before.to(loaded.device), mask.to(loaded.device)], dim=1),
        "pad_token_id": loaded.encoder.eos_id,
        "eos_token_id": loaded.end_ids,
        "past_key_values": backbone.growing_cache(
            loaded.lm.base, None if whole is None else shared(whole, len(rows))
        ),
        **sampling.arguments(),
    }


def require_room(loaded: LoadedModel, slots: int, tokens: int, new: int) -> None:
    """Refuse what does not fit the positions the base was built for.

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
