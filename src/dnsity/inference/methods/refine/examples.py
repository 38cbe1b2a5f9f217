"""What is studied of one document: rows of text, and what the base says of them.

    span       stretches of the document, from a few tokens on          behind the document
    quote      what follows these words?                                behind the document
    value      which number follows them?                               behind the document
    rule       questions made by rules (`data.rules`)                   behind the document
    written    questions the base writes itself, if it takes orders     behind the document
    foreign    facts it does not tell, quotations it does not hold      behind the document
    general    text the base makes up                                   behind nothing

The first five are Cartridges' self-study (2506.06266). The others keep what is trained from
meddling where the document has nothing to say, which cartridges were found to do (Cartridges++: a
few per cent of general text with a teacher that has no document mend it): of foreign questions the
base's own doubt is learned: how likely it holds an abstention, token by token.
"""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from dnsity.data.example import Language, Question
from dnsity.data.generators.hide import NOT_FOUND, absent_questions, fits
from dnsity.data.generators.needles import facts
from dnsity.data.generators.quote import quotes, values
from dnsity.data.generators.rules.questions import rule_questions
from dnsity.data.generators.self_study.prompts import PROMPT_TYPES, parse_reply, render_prompt
from dnsity.data.generators.self_study.study import excerpt
from dnsity.data.text.frame import Frame
from dnsity.inference.check import Probe, language_of
from dnsity.inference.distillation import gold_log_p, top_of
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.loaded import LoadedModel
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import KeyValues

__all__ = ["Kind", "Lesson", "Row", "answered", "language_of", "lessons", "rows_on"]

Kind = Literal["span", "quote", "value", "rule", "written", "foreign", "general"]

_SPAN, _CUE = 40, 8
"""Tokens of a stretch, and those of them that are given."""
_GENERAL = 40
"""Tokens of made-up text."""
_TOP = 64
"""How many of the likeliest tokens are kept of what the base says."""
ROWS_AT_ONCE = 16
"""Rows run in one pass, to hear the base and to score slots."""
_PER_PROMPT, _EXCERPT, _REPLY = 4, 4_000, 384
"""Questions asked for in one prompt, characters shown with it and tokens of the reply."""


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens to go on from, and how it goes on.

    Attributes:
        kind: See the module's picture.
        prompt: What is given.
        answer: What is learned.
    """

    kind: Kind
    prompt: list[int]
    answer: list[int]

    @property
    def is_gold(self) -> bool:
        """Whether the answer is the document's own words, and so right whatever the base says."""
        return self.kind in ("span", "quote", "value", "rule")

    @property
    def sees_document(self) -> bool:
        """Whether the base has the document before it."""
        return self.kind != "general"


class Lesson(NamedTuple):
    """What the base says of a row's answer.

    Attributes:
        top_ids: Its likeliest tokens, `[A, top]`.
        top_log_p: Their log-probabilities, `[A, top]`.
        log_p: Log-probability of the answer's own tokens, `[A]`.
    """

    top_ids: Tensor
    top_log_p: Tensor
    log_p: Tensor


def rows_on(
    loaded: LoadedModel,
    text: str,
    ids: list[int],
    *,
    count: int,
    seed: int,
    written: int | None = None,
    sampled: int | None = None,
    held_out: Sequence[Probe] = (),
) -> list[Row]:
    """Make rows on a document: `count` of it, a sixteenth more each of foreign and general text.

    Args:
        loaded: Model and tokenizer.
        text: The document.
        ids: Its tokens.
        count: Rows on the document, a third of them spans and a third for values if it has any;
            fewer if it is short.
        seed: Same seed, same rows.
        written: Questions that the base is asked to write (None: an eighth of the rows).
        sampled: Rows of text sampled from the base (None: a sixteenth, at least one).
        held_out: Questions whose values no row asks for.
    """
    golds = {probe.gold for probe in held_out}
    frame = loaded.frame
    rng = random.Random(f"study/{seed}")
    language = language_of(text)
    asked = [*values(rng, language, text, count // 3)]
    asked += rule_questions(text, language=language, rng=rng, limit=count // 8)
    asked += _written(loaded, text, language, rng, count // 8 if written is None else written)
    while len(asked) < 2 * count // 3 and (more := quotes(rng, language, text, count // 8)):
        asked += more
    asked = [question for question in asked if not _asks_for(question, golds)]
    found = [_row(frame, question) for question in asked]
    found += _spans(rng, ids, count - len(found))
    few = max(1, count // 16)
    found += _foreign(loaded, text, language, rng, few)
    if sampled != 0:
        found += _general(loaded, sampled or few, seed)
    rng.shuffle(found)
    return found


def _asks_for(question: Question, golds: Set[str]) -> bool:
    """Whether the answer is, holds or is part of a value that is held out."""
    return any(gold in question.answer or question.answer in gold for gold in golds)


def _row(frame: Frame, question: Question) -> Row:
    kinds: dict[str, Kind] = {"quote": "quote", "value": "value", "written": "written"}
    kind = kinds.get(question.kind, "rule")
    return Row(kind, frame.question(question.text), frame.answer(question.answer))


def _spans(rng: random.Random, ids: list[int], count: int) -> list[Row]:
    """Stretches that cover the document again and again, each time from another place."""
    found: list[Row] = []
    while len(found) < count and len(ids) > _CUE:
        for start in range(-rng.randrange(_SPAN - _CUE), len(ids) - _CUE, _SPAN - _CUE):
            span = ids[max(0, start) : start + _SPAN]
            if len(span) > _CUE:
                found.append(Row("span", span[:_CUE], span[_CUE:]))
    return rng.sample(found, min(count, len(found)))


def _written(
    loaded: LoadedModel, text: str, language: Language, rng: random.Random, count: int
) -> list[Question]:
    """Let the base write questions; none if it is not made to follow orders, or does not."""
    if loaded.frame.name != "chat" or loaded.max_positions < _EXCERPT:
        return []
    found: list[Question] = []
    for number in range(-(-count // _PER_PROMPT)):
        prompt = render_prompt(
            excerpt(text, _EXCERPT, rng), "", PROMPT_TYPES[number % len(PROMPT_TYPES)],
            language, _PER_PROMPT,
        )  # fmt: skip
        reply = answer(loaded, None, [prompt], Sampling(_REPLY))[0].text.strip()
        pairs = parse_reply(reply)
        if not pairs:
            break
        found += [Question(question, given, "written") for question, given in pairs]
    return found[:count]


def _foreign(
    loaded: LoadedModel, text: str, language: Language, rng: random.Random, count: int
) -> list[Row]:
    """Questions on made-up entities, and for what follows words on them that the text does not say.

    Whether to abstain is heard from the base, word by word.
    """
    strange = [needle for needle in facts(rng, language, 2 * count) if fits(text, needle)]
    asked = [*absent_questions(rng, language, strange[: count - count // 2])]
    elsewhere = " ".join(needle.sentence for needle in strange)
    for quote in quotes(rng, language, elsewhere, count // 2):
        if quote.text.split('"')[1] not in text:
            asked.append(Question(quote.text, NOT_FOUND[language], "absent:quote"))
    frame = loaded.frame
    return [Row("foreign", frame.question(q.text), frame.answer(q.answer)) for q in asked]


@torch.inference_mode()
def _general(loaded: LoadedModel, count: int, seed: int) -> list[Row]:
    """Text drawn from the base itself: what it says of nothing, in whatever it was trained on."""
    head = loaded.frame.head
    start = head or [loaded.encoder.eos_id]
    first = torch.tensor([start] * count, device=loaded.device)
    with loaded.lm.answering():
        drawn = cast(Any, loaded.lm.base).generate(
            input_ids=first,
            attention_mask=torch.ones_like(first),
            min_new_tokens=_GENERAL,  # after an end token many a model ends again
            pad_token_id=loaded.encoder.eos_id,
            **Sampling(_GENERAL, temperature=1.0, seed=seed).arguments(),
        )
    # After a head, which is the same with the slots and without, the first token is given.
    given = len(start) + bool(head)
    return [Row("general", row[len(head) : given], row[given:]) for row in drawn.tolist()]


def answered(lm: GistLM, prefix: KeyValues | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Run rows behind a prefix: logits `[S, vocab]` of their answers' tokens, and those `[S]`."""
    logits = lm.side_by_side(
        prefix, [row.prompt + row.answer for row in rows], [len(row.answer) for row in rows]
    )
    return logits, torch.tensor([x for row in rows for x in row.answer], device=logits.device)


@torch.inference_mode()
def lessons(loaded: LoadedModel, rows: Sequence[Row], document: KeyValues | None) -> list[Lesson]:
    """Return the log-probabilities of the base, adapter off, on rows.

    Args:
        loaded: Model and tokenizer.
        rows: What it answers, conditioned on the document where they ask for it.
        document: The document's keys and values; None: no row is conditioned on it.
    """
    lm = loaded.lm
    whole = loaded.head if document is None else loaded.after_head(document)
    found: dict[int, Lesson] = {}
    for sees in (False, True):
        numbers = [n for n, row in enumerate(rows) if row.sees_document == sees]
        for first in range(0, len(numbers), ROWS_AT_ONCE):
            some = numbers[first : first + ROWS_AT_ONCE]
            with lm.untouched():
                prefix = whole if sees else loaded.head
                logits, answers = answered(lm, prefix, [rows[n] for n in some])
            top_ids, top_log_p = top_of(logits, _TOP)
            gold = gold_log_p(logits, answers)
            sizes = [len(rows[n].answer) for n in some]
            parts = (torch.split(tensor, sizes) for tensor in (top_ids, top_log_p, gold))
            found |= dict(zip(some, map(Lesson, *parts), strict=True))
    return [found[n] for n in range(len(rows))]
