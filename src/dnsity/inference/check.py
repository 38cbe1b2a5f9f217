"""Quality check: short questions on a document, answered from its gist and with full context.

    the document     The harbour office opens at 9:45 on weekdays.
    question         Quote a sentence of the text word for word.
    answer so far    The harbour office opens at
    gold value       9:45

Questions ask for numbers first, then for names, then for other words, because compression loses
exact values first. The first words of the answer are given, so that even a small base can answer:
with full context SmolLM2-135M completes nearly all sentences, but answers only a quarter of plain
questions.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dnsity.data.example import Language
from dnsity.data.generators.quote import VALUE
from dnsity.data.text.sentences import sentence_ends
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_cache import Check, GistCache
from dnsity.inference.loaded import LoadedModel
from dnsity.shapes import KeyValues

QUESTIONS = 8
"""Maximum number of questions on a document."""
_ASK: dict[Language, str] = {
    "en": "Quote a sentence of the text word for word.",
    "ko": "글에 나오는 문장 하나를 그대로 인용해 주세요.",
}
_CUE = (3, 12)
"""Minimum and maximum number of given words."""
_WORD = re.compile(r"\S+")
_NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_LETTERS = 4
"""Minimum number of letters of a word that is asked for, in documents without numbers or names."""
_SPARE = 4
"""Extra questions, to replace those that are answered right without the document."""
_PAST = 8
"""Tokens generated beyond those of the gold value."""
_PARTS = 3
"""Number of parts of a document, longer than the model's window, that questions are made from."""
ROOM = 192
"""Maximum number of positions of a question and its answer."""
_SHORTER = 0.8
"""Safety factor of a part's length: tokens per character vary within a text."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question of a check.

    Attributes:
        question: Text of the question.
        begun: First words of the answer, which are given.
        gold: The words that follow them in the document.
        at: Character at which the gold value begins in the document.
        kind: Kind of the gold value.
    """

    question: str
    begun: str
    gold: str
    at: int
    kind: Literal["value", "name", "word"]


def language_of(text: str) -> Language:
    """Return the language of most letters of a text."""
    hangul = sum("가" <= letter <= "힣" for letter in text)
    return "ko" if 2 * hangul > sum(letter.isalpha() for letter in text) else "en"


def probes_on(text: str, count: int = QUESTIONS) -> list[Probe]:
    """Return questions on a document; equal texts give equal questions.

    At most half of its values are asked for, because `refine` learns from questions on the others.
    There is at most one question on a sentence.

    Args:
        text: The document.
        count: Maximum number of questions; short documents give fewer.
    """
    language = language_of(text)
    rng = random.Random(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    found = list(_candidates(text, language))
    chosen: dict[int, Probe] = {}
    for kind in ("value", "name", "word"):
        left = [(at, p) for at, p in found if p.kind == kind and at not in chosen]
        most = -(-len(left) // 2)
        chosen |= dict(rng.sample(left, min(most, count - len(chosen))))
    return sorted(chosen.values(), key=lambda probe: probe.at)


def held_out_probes(loaded: LoadedModel, text: str, count: int = QUESTIONS) -> list[Probe]:
    """Return questions that are short enough and that the model cannot answer without the document.

    Args:
        loaded: Model and tokenizer.
        text: The document.
        count: Maximum number of questions.
    """
    frame = loaded.frame

    def tokens(probe: Probe) -> int:
        asked = frame.question(probe.question) + frame.continuation(frame.space + probe.begun)
        return len(asked) + len(frame.continuation(f" {probe.gold}")) + _PAST

    probes = [probe for probe in probes_on(text, count + _SPARE) if tokens(probe) <= ROOM]
    guessed = answered_right(loaded, None, probes)
    return [probe for probe, known in zip(probes, guessed, strict=True) if not known][:count]


def _candidates(text: str, language: Language) -> Iterator[tuple[int, Probe]]:
    """Yield the start of each sentence with questions on it, at most one of each kind."""
    for start, end in pairwise(sentence_ends(text)):
        words = list(_WORD.finditer(text, start, end))
        kinds: set[str] = set()
        for kind, first, stop in _golds(text, words, language):
            before = [word for word in words if word.end() <= first][-_CUE[1] :]
            if len(before) < _CUE[0] or kind in kinds:
                continue
            cue = text[before[0].start() : before[-1].end()]
            gold = text[first:stop]
            once = text.find(cue) == text.rfind(cue)
            clean = not any(mark in cue + gold for mark in '"\n“”')
            glued = "." in gold and not any(map(str.isdigit, gold))
            follows = text[before[-1].end() : first].isspace() and gold not in cue
            if once and clean and follows and not glued:
                kinds.add(kind)
                yield start, Probe(_ASK[language], cue, gold, first, kind)


def _golds(
    text: str, words: Sequence[re.Match[str]], language: Language
) -> Iterator[tuple[Literal["value", "name", "word"], int, int]]:
    """Yield kind, start and end of possible gold values in a sentence, best first."""
    if not words:
        return
    start, end = words[0].start(), words[-1].end()
    for match in VALUE.finditer(text, start, end):
        yield "value", match.start(), match.end()
    if language == "en":
        for match in _NAME.finditer(text, words[0].end(), end):
            yield "name", match.start(), match.end()
    for word in reversed(words):
        bare = word.group().rstrip(".,;:!?)\"'")
        if sum(letter.isalpha() for letter in bare) >= (_LETTERS if language == "en" else 2):
            yield "word", word.start(), word.start() + len(bare)


def answered_right(
    loaded: LoadedModel, prefix: KeyValues | None, probes: Sequence[Probe]
) -> list[bool]:
    """Return which questions greedy decoding answers right, given a prefix.

    Args:
        loaded: Model and tokenizer.
        prefix: Keys and values without the frame's head; None: no document.
        probes: The questions.
    """
    if not probes:
        return []
    longest = max(len(loaded.frame.continuation(f" {probe.gold}")) for probe in probes)
    answers = answer(
        loaded, prefix, [probe.question for probe in probes], Sampling(longest + _PAST),
        begun=[probe.begun for probe in probes],
    )  # fmt: skip
    return [agrees(one.text, probe.gold) for one, probe in zip(answers, probes, strict=True)]


def agrees(given: str, gold: str) -> bool:
    """Return whether an answer begins with the gold value, ignoring case and punctuation."""
    return f"{_plain(given)} ".startswith(f"{_plain(gold)} ")


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def check(loaded: LoadedModel, gist: GistCache, text: str) -> Check:
    """Compare answers from a gist with answers from the whole document.

    Args:
        loaded: Model and tokenizer.
        gist: The gist.
        text: The document that it was made from.
    """
    layers = gist.to(loaded.device, loaded.lm.base.dtype).layers
    found = Check()
    if gist.info.positions + len(loaded.frame.head) + ROOM > loaded.max_positions:
        return found
    for part, probes in parts_with_probes(loaded, text):
        whole = answered_right(loaded, loaded.read(loaded.frame.document(part)), probes)
        found = found.plus(whole, answered_right(loaded, layers, probes))
    return found


def parts_with_probes(loaded: LoadedModel, text: str) -> list[tuple[str, list[Probe]]]:
    """Return the parts of a document that are used as full context, each with its questions.

    A document that fits the model's window is one part; a longer one has three.
    """
    tokens = len(loaded.frame.document(text))
    most = loaded.max_positions - len(loaded.frame.head) - ROOM
    if tokens <= most:
        probes = held_out_probes(loaded, text)
        return [(text, probes)] if probes else []
    found = []
    size = int(len(text) / tokens * min(loaded.lm.spec.window_tokens, most) * _SHORTER)
    for number in range(_PARTS):
        start = (len(text) - size) * number // (_PARTS - 1)
        part = text[start : start + size]
        own = [probe for probe in held_out_probes(loaded, part, -(-QUESTIONS // _PARTS))
               if text.count(probe.begun) == 1]  # fmt: skip
        if own and len(loaded.frame.document(part)) <= most:
            found.append((part, own))
    return found
