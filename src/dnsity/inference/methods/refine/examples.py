"""Training examples of `refine`, made from one document.

    kind       content                                                      teacher conditioned on
    span       stretches of the document, given their first tokens          the document
    quote      which words follow these?                                    the document
    value      which number follows these words?                            the document
    rule       questions made by rules (`data.generators.rules`)            the document
    written    questions that the base writes, if it follows instructions   the document
    foreign    facts and quotations that the document does not contain      the document
    general    text sampled from the base                                   nothing

The first five are the self-study of Cartridges (2506.06266). The last two keep trained slots from
changing answers that have nothing to do with the document, which cartridges were found to do. In
Cartridges++, a few per cent of general text, with a teacher that has no document, prevent that. On
foreign questions the slots learn the base's own probability of abstaining, token by token.
"""

from __future__ import annotations

import random
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal

import torch

from dnsity.data.example import Language, Question
from dnsity.data.generators.hide import NOT_FOUND, absent_questions, fits
from dnsity.data.generators.needles import facts
from dnsity.data.generators.quote import quotes, values
from dnsity.data.generators.rules.questions import rule_questions
from dnsity.data.generators.self_study.prompts import PROMPT_TYPES, parse_reply, render_prompt
from dnsity.data.generators.self_study.study import excerpt
from dnsity.data.text.frame import Frame
from dnsity.inference.check import Probe, language_of
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.loaded import LoadedModel

Kind = Literal["span", "quote", "value", "rule", "written", "foreign", "general"]

_SPAN, _CUE = 40, 8
"""Tokens of a span, and how many of them are given."""
_GENERAL = 40
"""Tokens of general text."""
_PER_PROMPT, _EXCERPT, _REPLY = 4, 4_000, 384
"""Questions requested in one prompt, characters of the excerpt in it and tokens of the reply."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the answer to learn.

    Attributes:
        kind: See the table of this module.
        prompt: Token ids that are given.
        answer: Token ids that are learned.
    """

    kind: Kind
    prompt: list[int]
    answer: list[int]

    @property
    def is_gold(self) -> bool:
        """Whether the answer quotes the document, and is right whatever the teacher predicts."""
        return self.kind in ("span", "quote", "value", "rule")

    @property
    def sees_document(self) -> bool:
        """Whether the teacher is conditioned on the document."""
        return self.kind != "general"


def make_examples(
    loaded: LoadedModel,
    text: str,
    ids: list[int],
    *,
    count: int,
    seed: int,
    written: int | None = None,
    sampled: int | None = None,
    held_out: Sequence[Probe] = (),
) -> list[Example]:
    """Return examples: `count` on the document, a sixteenth more each foreign and general.

    Args:
        loaded: Model and tokenizer.
        text: The document.
        ids: Its token ids.
        count: Examples on the document: a third spans and a third values, if it has any; fewer if
            the document is short.
        seed: Random seed.
        written: Questions that the base is asked to write (None: an eighth of `count`).
        sampled: Examples of general text (None: a sixteenth of `count`, at least one).
        held_out: Questions whose values no example asks for.
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
    found = [_example(frame, question) for question in asked]
    found += _spans(rng, ids, count - len(found))
    few = max(1, count // 16)
    found += _foreign(loaded, text, language, rng, few)
    if sampled != 0:
        found += _general(loaded, sampled or few, seed)
    rng.shuffle(found)
    return found


def _asks_for(question: Question, golds: Set[str]) -> bool:
    """Return whether the answer equals, contains or is part of a held-out value."""
    return any(gold in question.answer or question.answer in gold for gold in golds)


def _example(frame: Frame, question: Question) -> Example:
    """Return a question in the model's prompt format."""
    kinds: dict[str, Kind] = {"quote": "quote", "value": "value", "written": "written"}
    kind = kinds.get(question.kind, "rule")
    return Example(kind, frame.question(question.text), frame.answer(question.answer))


def _spans(rng: random.Random, ids: list[int], count: int) -> list[Example]:
    """Return spans that cover the document repeatedly, each time from another start."""
    found: list[Example] = []
    while len(found) < count and len(ids) > _CUE:
        for start in range(-rng.randrange(_SPAN - _CUE), len(ids) - _CUE, _SPAN - _CUE):
            span = ids[max(0, start) : start + _SPAN]
            if len(span) > _CUE:
                found.append(Example("span", span[:_CUE], span[_CUE:]))
    return rng.sample(found, min(count, len(found)))


def _written(
    loaded: LoadedModel, text: str, language: Language, rng: random.Random, count: int
) -> list[Question]:
    """Return questions that the base writes; none if it does not follow instructions."""
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
) -> list[Example]:
    """Return questions on made-up entities, and for quotations, that the text does not contain.

    The teacher's probability of the abstention is learned token by token.
    """
    strange = [needle for needle in facts(rng, language, 2 * count) if fits(text, needle)]
    asked = [*absent_questions(rng, language, strange[: count - count // 2])]
    elsewhere = " ".join(needle.sentence for needle in strange)
    for quote in quotes(rng, language, elsewhere, count // 2):
        if quote.text.split('"')[1] not in text:
            asked.append(Question(quote.text, NOT_FOUND[language], "absent:quote"))
    frame = loaded.frame
    return [Example("foreign", frame.question(q.text), frame.answer(q.answer)) for q in asked]


@torch.inference_mode()
def _general(loaded: LoadedModel, count: int, seed: int) -> list[Example]:
    """Return text sampled from the base without a document."""
    head = loaded.frame.head
    start = head or [loaded.encoder.eos_id]
    first = torch.tensor([start] * count, device=loaded.device)
    sampled = loaded.lm.generate(
        None,
        first,
        torch.ones_like(first, dtype=torch.bool),
        min_new_tokens=_GENERAL,  # many models repeat the end token
        pad_token_id=loaded.encoder.eos_id,
        **Sampling(_GENERAL, temperature=1.0, seed=seed).arguments(),
    ).tolist()
    if head:  # in every prefix; after it the first sampled token is given, not learned
        return [Example("general", ids[:1], ids[1:]) for ids in sampled]
    return [Example("general", start, ids) for ids in sampled]
