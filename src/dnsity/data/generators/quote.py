"""Questions whose answer is the document's own text, or its continuation.

    values          numbers after given words; compression loses them first
    quotes          a few words after given words; trains to copy any token, not only digits
    reconstruction  the text from a given position; trains gists to store all of it
    continuation    the text after the document; trains gists as a context for generation

The latter two are the objectives of ICAE (Ge et al., 2307.06945) as questions; reconstruction also
pretrains 500xCompressor (2408.03094) and improves gists in Deng et al. (2412.17483).
"""

from __future__ import annotations

import random
import re
from itertools import pairwise

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language, Question
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.text.sentences import sentence_ends

_CUE, _ANSWER = (2, 4), (2, 6)
"""Fewest and most words of a cue, and of the answer to a quotation."""
_TRIES = 8
"""Positions tried for a cue that occurs once."""
_CHARACTERS = 32
"""More characters than a token of prose has; limits what is encoded of a long text."""
_WORD = re.compile(r"\S+")
VALUE = re.compile(r"(?<![^\s(\[\"'])(?=\S*\d)[^\W_](?:\S*[^\W_])?")
_VALUE_CUE = (3, 12)
"""Fewest and most words of the cue of a value."""


def quotes(rng: random.Random, language: Language, text: str, count: int) -> tuple[Question, ...]:
    """Ask for up to `count` quotations that do not overlap, each by the words before it.

    Args:
        rng: The only source of randomness.
        language: Language of the questions.
        text: The document.
        count: Maximum questions; a short or repetitive text gives fewer.

    Returns:
        Questions whose cue occurs once in the text and whose answer follows it verbatim.
    """
    words = list(_WORD.finditer(text))
    found: list[Question] = []
    at = rng.randint(0, max(0, len(words) - count * (_CUE[1] + _ANSWER[1])))
    while len(found) < count:
        middle = at + rng.randint(*_CUE)
        end = middle + rng.randint(*_ANSWER)
        if end > len(words):
            break
        cue = text[words[at].start() : words[middle - 1].end()]
        answer = text[words[middle].start() : words[end - 1].end()]
        once = text.find(cue) == text.rfind(cue)  # `count` misses what overlaps: "two two two"
        if once and '"' not in cue and "\n" not in cue + answer:
            question = rng.choice(LANGUAGES[language].questions.quote).format(cue=cue)
            found.append(Question(question, answer, "quote"))
        at = end
    return tuple(found)


def values(rng: random.Random, language: Language, text: str, count: int) -> tuple[Question, ...]:
    """Ask for numbers and other words with digits, by the words before them in the sentence.

    Compression loses exact strings first, and users ask for them most.

    Args:
        rng: The only source of randomness.
        language: Language of the questions.
        text: The document.
        count: Maximum questions. With fewer values than questions each value is asked for several
            times, with different cues.

    Returns:
        Questions whose cue occurs once in the text and whose answer follows it verbatim; none if
        there is no such value.
    """
    places: list[tuple[int, int, int]] = []
    for start, end in pairwise(sentence_ends(text)):
        found = VALUE.finditer(text, start, end)
        places += [(start, value.start(), value.end()) for value in found]
    made: list[Question] = []
    for at in range(2 * count if places else 0):
        start, middle, end = places[at % len(places)]
        words = list(_WORD.finditer(text, start, middle))[-rng.randint(*_VALUE_CUE) :]
        cue = text[words[0].start() : middle].rstrip() if words else ""
        if cue and text.find(cue) == text.rfind(cue) and '"' not in cue and "\n" not in cue:
            asked = rng.choice(LANGUAGES[language].questions.quote).format(cue=cue)
            made.append(Question(asked, text[middle:end], "value"))
    return tuple(made[:count])


def reconstruction(
    rng: random.Random, language: Language, text: str, encoder: TextEncoder, span_tokens: int
) -> tuple[Question, ...]:
    """Ask for the text itself: its beginning, or what follows a few words of it.

    Args:
        rng: The only source of randomness.
        language: Language of the question.
        text: The document.
        encoder: Text to ids.
        span_tokens: Maximum tokens of the answer.

    Returns:
        One question, whose cue (if any) occurs once in the text and whose answer is what follows
        it, verbatim; none if the text has no word of so few tokens there.
    """
    asked, start = rng.choice(LANGUAGES[language].questions.from_start), 0
    words = list(_WORD.finditer(text))
    if rng.random() < 0.5 and len(words) > _CUE[1]:
        for _ in range(_TRIES):
            at = rng.randrange(len(words) - _CUE[1])
            middle = at + rng.randint(*_CUE)
            cue = text[words[at].start() : words[middle - 1].end()]
            # Where words overlap themselves ("gas as a") `count` would miss the second place.
            if text.find(cue) == text.rfind(cue) and '"' not in cue and "\n" not in cue:
                asked = rng.choice(LANGUAGES[language].questions.from_cue).format(cue=cue)
                start = words[middle].start()
                break
    answer = _answer(encoder, text[start:], span_tokens)
    return (Question(asked, answer, "reconstruction"),) if answer else ()


def continuation(
    rng: random.Random,
    language: Language,
    text: str,
    encoder: TextEncoder,
    tokens: int,
    span_tokens: int,
) -> tuple[str, tuple[Question, ...]]:
    """Cut a text in two and ask for what follows the first part.

    Args:
        rng: The only source of randomness.
        language: Language of the question.
        text: Prose of more than `tokens` tokens.
        encoder: Text to ids.
        tokens: Maximum tokens of the document.
        span_tokens: Maximum tokens of the answer.

    Returns:
        The document, whole words from the beginning of the text, and one question, whose answer
        follows it; no question if nothing or another article (after a blank line) follows.
    """
    document = _head(encoder, text, tokens)
    rest, _, _ = text[len(document) :].partition("\n\n")
    answer = _answer(encoder, rest, span_tokens)
    if not document or not answer:
        return document, ()
    asked = rng.choice(LANGUAGES[language].questions.continuation)
    return document, (Question(asked, answer, "continuation"),)


def _answer(encoder: TextEncoder, text: str, tokens: int) -> str:
    """Return the beginning of a text as an answer, whose tokens are counted after a space."""
    return _head(encoder, " " + text.lstrip(), tokens).lstrip()


def _head(encoder: TextEncoder, text: str, tokens: int) -> str:
    """Return the first words of a text that have at most so many tokens together."""
    near = text[: tokens * _CHARACTERS]
    end = encoder.offset_after(near, tokens) or len(near)
    # One character more, to see whether the last word is whole.
    ends = [word.end() for word in _WORD.finditer(text[: end + 1]) if word.end() <= end]
    # A character of several tokens may reach over the border.
    while ends and len(encoder.encode(text[: ends[-1]])) > tokens:
        ends.pop()
    return text[: ends[-1]] if ends else ""
