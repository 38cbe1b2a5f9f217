"""Make a statement of a document false: a number, year or name becomes another one.

A false version that another part of the document could make true is not used.
"""

from __future__ import annotations

import random
import re

from dnsity.data.generators.rules.page import Page, Rules, overlap

_TRIES = 4
_ALIKE = 0.4
_LEAST_CHANGE = 0.15
_YEAR_SHIFT = 30
_YEAR = re.compile(r"(?<!\d)(?:1\d{3}|20\d\d)(?!\d)")


def make_false(sentence: str, page: Page, rules: Rules, rng: random.Random) -> str | None:
    """Make a statement of a document false.

    Args:
        sentence: One of its sentences.
        page: The document.
        rules: The language.
        rng: The only source of randomness.

    Returns:
        The false statement, or None if none can be made safely.
    """
    spans = rules.swaps(sentence)
    for span in rng.sample(spans, len(spans)):
        old = sentence[span.start : span.end]
        if len(re.findall(rf"(?<!\w){re.escape(old)}", sentence)) != 1:
            continue
        for _ in range(_TRIES):
            if span.kind == "number":
                new = _other_number(rng, old, percent=sentence[span.end :].lstrip()[:7])
            elif span.kind == "year":
                new = _other_year(rng, old, page)
            else:
                new = _other_name(rng, old, rules.replacements(span.kind, page.sentences), page)
            if new and new not in sentence and new != old:
                false = rules.swap(sentence, span, new)
                if false not in page.flat and not _attested(false, new, sentence, page, rules):
                    return false
    return None


def _attested(false: str, new: str, true: str, page: Page, rules: Rules) -> bool:
    """Return whether another sentence says something similar of the new value."""
    words = rules.words(false)
    return any(
        new in other and other != true and overlap(words, rules.words(other)) >= _ALIKE
        for other in page.sentences
    )


def _other_number(rng: random.Random, old: str, percent: str) -> str | None:
    """Return a number of the same format: as many digits, as round, equal separators."""
    digits = re.sub(r"\D", "", old)
    significant = digits.rstrip("0") or "0"
    if digits.startswith("0") or not significant.isdigit() or digits != digits.lstrip("0"):
        return None
    size = len(significant)
    value = rng.randrange(10 ** (size - 1), 10**size)
    if size > 1 and value % 10 == 0:
        value += rng.randrange(1, 10)
    if abs(value - int(significant)) < _LEAST_CHANGE * int(significant):
        return None
    if percent.startswith(("%", "percent", "퍼센트")) and float(old.replace(",", "")) >= 100:
        return None
    fresh = iter(str(value) + "0" * (len(digits) - size))
    return "".join(next(fresh) if character.isdigit() else character for character in old)


def _other_year(rng: random.Random, old: str, page: Page) -> str:
    """Return a similar year, not later than the latest one in the text."""
    shift = rng.randrange(2, _YEAR_SHIFT)
    latest = max(int(old), *map(int, _YEAR.findall(page.flat)))
    later = int(old) + shift <= latest and rng.random() < 0.5
    return str(int(old) + shift if later else int(old) - shift)


def _other_name(rng: random.Random, old: str, names: list[str], page: Page) -> str | None:
    """Return another name that shares no word and no sentence with the old one.

    Names that share either could belong to one person.
    """
    known = set(old.split())
    apart = [
        name
        for name in names
        if known.isdisjoint(name.split())
        and not any(name in sentence and old in sentence for sentence in page.sentences)
    ]
    return rng.choice(apart) if apart else None
