"""Hide sentences in a text at given depths, and ask for what they say."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from dnsity.data.example import Example, Language, Question
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.needles import Needle
from dnsity.data.text.sentences import places, starts_with_heading

NOT_FOUND: Mapping[Language, str] = {
    language: pack.questions.not_found for language, pack in LANGUAGES.items()
}
"""The answer to a question that a document does not answer."""


def insert(
    haystack: str, sentences: Sequence[str], depths: Sequence[float], stop: int | None = None
) -> str:
    """Put each sentence at the sentence border nearest to its depth.

    Only the sentences are added, and white space between two texts that have none: a line break
    before a heading, otherwise a space.

    Args:
        haystack: The text to hide in.
        sentences: What to hide.
        depths: One depth in 0..1 for each sentence, as a share of the haystack's characters.
            Sentences at the same border are in order of depth, then as given.
        stop: Characters of the haystack that depths refer to; nothing is inserted after them
            (default: all).

    Returns:
        The text with the sentences in it.

    Raises:
        ValueError: If the counts differ or a depth is outside 0..1.
    """
    if len(sentences) != len(depths):
        raise ValueError(f"{len(sentences)} sentences but {len(depths)} depths")
    if not all(0.0 <= depth <= 1.0 for depth in depths):
        raise ValueError(f"depths must be in 0..1, got {list(depths)}")
    length = len(haystack) if stop is None else stop
    ends = [end for end in places(haystack) if end <= length]
    parts: list[str] = []
    at = 0
    for index in sorted(range(len(depths)), key=lambda number: depths[number]):
        border = _nearest(ends, depths[index] * length)
        parts += [haystack[at:border], sentences[index]]
        at = border
    parts.append(haystack[at:])
    return _join([part for part in parts if part])


def fits(haystack: str, needle: Needle) -> bool:
    """Return whether the haystack does not contain the needle's answer already."""
    return needle.answer not in haystack


def needle_example(
    rng: random.Random,
    haystack: str,
    language: Language,
    needles: Sequence[Needle],
    *,
    depths: Sequence[float] | None = None,
    absent: Sequence[Needle] = (),
    source: str = "",
) -> Example:
    """Hide needles in a haystack and ask for each of them.

    Args:
        rng: The only source of randomness: depths, and the wording of each question.
        haystack: The text to hide in.
        language: Language of the haystack and the needles.
        needles: The needles to hide; questions are in the same order.
        depths: Depth of each needle, see `insert`; uniformly random if None.
        absent: Needles that are asked for but not hidden.
        source: Id of the haystack document.

    Returns:
        The example.

    Raises:
        ValueError: If the haystack contains an answer already (see `fits`), or `depths` is wrong.
    """
    for needle in needles:
        if not fits(haystack, needle):
            raise ValueError(f"the haystack already contains the answer {needle.answer!r}")
    if depths is None:
        depths = [rng.random() for _ in needles]
    document = insert(haystack, [needle.sentence for needle in needles], depths)
    asked = questions(rng, needles) + absent_questions(rng, language, absent)
    return Example(document, asked, language, source)


def questions(rng: random.Random, needles: Sequence[Needle]) -> tuple[Question, ...]:
    """Ask for every needle in one of its wordings."""
    return tuple(
        Question(rng.choice(needle.questions), needle.answer, needle.kind) for needle in needles
    )


def absent_questions(
    rng: random.Random, language: Language, needles: Sequence[Needle]
) -> tuple[Question, ...]:
    """Ask for needles that the document does not contain; the answer is `NOT_FOUND`."""
    return tuple(
        Question(rng.choice(needle.questions), NOT_FOUND[language], f"absent:{needle.kind}")
        for needle in needles
    )


def _nearest(ends: Sequence[int], target: float) -> int:
    """Return the border closest to a position; the earlier one of two equally close ones."""
    after = bisect_left(ends, target)
    if after in (0, len(ends)):
        return ends[0 if after == 0 else -1]
    before, later = ends[after - 1], ends[after]
    return before if target - before <= later - target else later


def _join(parts: Sequence[str]) -> str:
    """Join texts, with white space between two that have none."""
    text: list[str] = []
    for part in parts:
        if text and not text[-1][-1].isspace() and not part[0].isspace():
            text.append("\n" if starts_with_heading(part) else " ")
        text.append(part)
    return "".join(text)
