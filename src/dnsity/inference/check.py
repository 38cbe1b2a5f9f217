"""Quality check: short questions on a document, answered from its gists and from the whole of it.

    the document     The harbour office opens at 9:45 on weekdays.
    question         Quote a sentence of the text word for word.
    answer so far    The harbour office opens at
    gold value       9:45

Numbers are asked for first, then names, then other words: exact values are lost first. The first
words of the answer are given, so that even a small base can answer: with the whole document
SmolLM2-135M completes nearly all sentences, and answers a quarter of plain questions.
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
"""Asked of a document at most."""
_ASK: dict[Language, str] = {
    "en": "Quote a sentence of the text word for word.",
    "ko": "글에 나오는 문장 하나를 그대로 인용해 주세요.",
}
_CUE = (3, 12)
"""Fewest and most words of a sentence that ask for what follows them."""
_WORD = re.compile(r"\S+")
_NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_LETTERS = 4
"""Fewest letters of a word that is asked for where a document holds no numbers or names."""
_SPARE = 4
"""Further questions made, in the place of those that are guessed without the document."""
_PAST = 8
"""Tokens generated beyond those of the gold value."""
_PIECES = 3
"""Parts of a document too long for the model's window that questions are made from."""
ROOM = 192
"""Positions that a question and its answer take at most."""
_SHORTER = 0.8
"""Of a part's length: some parts of a text have more tokens for as many characters."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question of a check.

    Attributes:
        question: As it is asked.
        begun: First words of the answer.
        gold: What follows them in the document.
        at: Where the gold value begins in the document.
        kind: What is asked for.
    """

    question: str
    begun: str
    gold: str
    at: int
    kind: Literal["value", "name", "word"]


def language_of(text: str) -> Language:
    """Return the language to ask about a text in: the one it has more letters of."""
    hangul = sum("가" <= letter <= "힣" for letter in text)
    return "ko" if 2 * hangul > sum(letter.isalpha() for letter in text) else "en"


def probes_on(text: str, count: int = QUESTIONS) -> list[Probe]:
    """Make questions on a document, the same for the same text.

    Half of its values at most are asked for, as `refine` learns from questions on the others, and
    no sentence is asked about twice.

    Args:
        text: The document.
        count: Questions at most; fewer if the document is short.
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


def held_out(loaded: LoadedModel, text: str, count: int = QUESTIONS) -> list[Probe]:
    """Return questions on a document that fit the room kept for them and cannot be guessed.

    Args:
        loaded: Model and tokenizer; what it answers right without any document is left out.
        text: The document.
        count: Questions at most.
    """
    frame = loaded.frame

    def tokens(probe: Probe) -> int:
        asked = frame.question(probe.question) + frame.continuation(frame.space + probe.begun)
        return len(asked) + len(frame.continuation(f" {probe.gold}")) + _PAST

    probes = [probe for probe in probes_on(text, count + _SPARE) if tokens(probe) <= ROOM]
    guessed = right(loaded, None, probes)
    return [probe for probe, known in zip(probes, guessed, strict=True) if not known][:count]


def _candidates(text: str, language: Language) -> Iterator[tuple[int, Probe]]:
    """Yield where a sentence begins and a question on it, of each kind one at most."""
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
    """Yield what may be asked for in a sentence, best first."""
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


def right(loaded: LoadedModel, prefix: KeyValues | None, probes: Sequence[Probe]) -> list[bool]:
    """Return which questions are answered right from a prefix, by greedy generation.

    Args:
        loaded: Model and tokenizer.
        prefix: Keys and values without the frame's head; None: no document.
        probes: The questions.
    """
    if not probes:
        return []
    longest = max(len(loaded.frame.continuation(f" {probe.gold}")) for probe in probes)
    said = answer(
        loaded, prefix, [probe.question for probe in probes], Sampling(longest + _PAST),
        begun=[probe.begun for probe in probes],
    )  # fmt: skip
    return [agrees(one.text, probe.gold) for one, probe in zip(said, probes, strict=True)]


def agrees(said: str, gold: str) -> bool:
    """Whether an answer begins with the gold value, whatever the case and punctuation."""
    return f"{_plain(said)} ".startswith(f"{_plain(gold)} ")


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def check(loaded: LoadedModel, gist: GistCache, text: str) -> Check:
    """Ask a document's gists and the whole document the same questions.

    Args:
        loaded: Model and tokenizer.
        gist: The document's.
        text: The document it was made from.
    """
    layers = gist.to(loaded.device, loaded.lm.base.dtype).layers
    found = Check()
    if gist.info.positions + len(loaded.frame.head) + ROOM > loaded.max_positions:
        return found
    for part, probes in parts(loaded, text):
        whole = right(loaded, loaded.read(loaded.frame.document(part)), probes)
        found = found.plus(whole, right(loaded, layers, probes))
    return found


def parts(loaded: LoadedModel, text: str) -> list[tuple[str, list[Probe]]]:
    """Return the stretches of a document that serve as full context, each with its questions.

    A document that fits the model's window is one stretch; of a longer one there are a few.
    """
    tokens = len(loaded.frame.document(text))
    most = loaded.max_positions - len(loaded.frame.head) - ROOM
    if tokens <= most:
        probes = held_out(loaded, text)
        return [(text, probes)] if probes else []
    found = []
    size = int(len(text) / tokens * min(loaded.lm.spec.window_tokens, most) * _SHORTER)
    for number in range(_PIECES):
        start = (len(text) - size) * number // (_PIECES - 1)
        part = text[start : start + size]
        own = [probe for probe in held_out(loaded, part, -(-QUESTIONS // _PIECES))
               if text.count(probe.begun) == 1]  # fmt: skip
        if own and len(loaded.frame.document(part)) <= most:
            found.append((part, own))
    return found
