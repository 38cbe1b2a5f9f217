"""A document in sentences, sections and lists, parsed without a model for the question rules.

Damaged sentences (markup, words lost in extraction, unclosed quotes) are detected here, so that no
rule has to check its sentence.
"""
# ruff: noqa: RUF001

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from dnsity.data.text.sentences import sentence_ends

BLANK = "____"
_MARKDOWN_HEADING = re.compile(r"(?:#{1,6} +(?P<a>\S.*?)|(?P<e>=+) *(?P<b>\S.*?) *(?P=e))\s*$")
_ITEM = re.compile(r"\s*(?:[-*\u2022\u00b7]|\d{1,2}[.)])\s+(?P<item>\S.*)$")
_VERB = re.compile(r"\b(?:is|are|was|were|has|had|have|be|will|can|did|do|does|said)\b")
_HEADING_CHARACTERS, _BODY_CHARACTERS, _WRAPPED_CHARACTERS = 60, 80, 40
_LIST_ITEMS = 3
# Brackets and quotation marks that must be paired inside a sentence.
_PAIRS = ("()", "[]", "“”", "‘’", "《》", "〈〉", "「」", "『』")
# Markup, and traces of words that were lost when the text was extracted.
_DAMAGE = re.compile(
    r"[<>{}|=\\_^~`#\u200b\ufffd]|https?:|www\.|formula|\s\s|\(\s*[,;)]|,\s*[,;)]|\s[,.;:)](?:\s|$)"
    r"|\(\s|\[|\"\"|''|《》|〈〉|\.\.|…|\s\.\d|\d s\b|[a-z\d]\.[A-Z][a-z]|[£$€¥][\s,.)]"
    r"|\d – [a-z]|\w\.\w\w+\.\w|\"[,. ]{1,2}\""
)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a sentence that can be asked for or exchanged."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A question whose answer is in the sentence that it was made from."""

    question: str
    answer: str
    kind: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text under it, up to the next heading."""

    heading: str
    body: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The grammar of one language; the rules themselves do not depend on a language.

    Attributes:
        intact: Whether a sentence is complete and undamaged.
        stands_alone: Whether it is understandable without the sentences around it.
        words: Its content words in order, case-folded.
        spans: The spans that can be blanked.
        readings: The correct answers for a blanked span, the shortest first.
        swaps: The spans whose exchange makes it false.
        replacements: Values for such an exchange, given all sentences of the document.
        swap: Exchanges a span and corrects the grammar around it.
        facts: Questions from a sentence of a reliable structure.
        lists: Lists inside a sentence.
        templates: Question templates by kind.
        fill: Fills a template.
        answers: The words for yes and no.
        dotted_headings: Whether a heading may end with a full stop ("Early life.").
    """

    intact: Callable[[str], bool]
    stands_alone: Callable[[str], bool]
    words: Callable[[str], list[str]]
    spans: Callable[[str], list[Span]]
    readings: Callable[[str, Span], tuple[str, ...]]
    swaps: Callable[[str], list[Span]]
    replacements: Callable[[str, Sequence[str]], list[str]]
    swap: Callable[[str, Span, str], str]
    facts: Callable[[str], list[Fact]]
    lists: Callable[[str], list[tuple[str, ...]]]
    templates: Mapping[str, tuple[str, ...]]
    fill: Callable[..., str]
    answers: tuple[str, str]
    dotted_headings: bool

    def word(self, rng: random.Random, kind: str, **values: str) -> str:
        """Sample a template of a kind and fill it."""
        return self.fill(rng.choice(self.templates[kind]), **values)

    def read(self, question: str, kind: str) -> dict[str, str] | None:
        """Return the values that a template of this kind was filled with; None if none matches."""
        for template in self.templates[kind]:
            shape = ""
            for literal, field in re.findall(r"([^{]*)(?:\{(\w+)\})?", template):
                value = f"(?P<{field}>.+)" if field.isascii() else ".{1,3}"
                shape += re.escape(literal) + (value if field else "")
            match = re.fullmatch(shape, question)
            if match:
                return match.groupdict()
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """A document in parts.

    Attributes:
        flat: The text with every run of white space as one space.
        title_line: The title, if the text starts with one.
        sections: Parts under a heading.
        sentences: Sentences in order, with damaged ones; each occurs in `flat`.
        lists: Lists written as lines.
    """

    flat: str
    title_line: str
    sections: tuple[Section, ...]
    sentences: tuple[str, ...]
    lists: tuple[tuple[str, ...], ...]


def flatten(text: str) -> str:
    """Replace every run of white space by one space."""
    return " ".join(text.split())


def whole(sentence: str, least: int, most: int) -> bool:
    """Return whether a sentence has a suitable length, paired brackets and no damage."""
    return (
        least <= len(sentence) <= most
        and not _DAMAGE.search(sentence)
        and sentence.count('"') % 2 == 0
        and all(sentence.count(pair[0]) == sentence.count(pair[1]) for pair in _PAIRS)
    )


def overlap(words: Sequence[str], others: Collection[str]) -> float:
    """Return the share of the first words that are among the others."""
    return sum(word in others for word in words) / len(words) if words else 0.0


@lru_cache(maxsize=2)  # a document is parsed once for all its questions
def read_page(text: str, dotted_headings: bool) -> Page:
    """Parse a document."""
    lines = [line.rstrip() for line in text.splitlines()]
    filled = [number for number, line in enumerate(lines) if line.strip()]
    title = _title_line(lines, filled)
    headings = {} if not filled else _headings(lines, filled, dotted_headings)
    sections, paragraphs = _parts(lines, headings, skip=filled[0] if title else -1)
    sentences = tuple(each for paragraph in paragraphs for each in split_sentences(paragraph))
    return Page(flatten(text), title, sections, sentences, tuple(_line_lists(lines)))


def split_sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph, white space flattened."""
    ends = sentence_ends(paragraph)
    sentences = (flatten(paragraph[start:end]) for start, end in pairwise(ends))
    return [sentence for sentence in sentences if sentence]


def _title_line(lines: Sequence[str], filled: Sequence[int]) -> str:
    """Return the first line if it is short, not a sentence, and followed by a blank line."""
    if len(filled) < 2 or filled[1] == filled[0] + 1:
        return ""
    first = lines[filled[0]].strip()
    heading = _MARKDOWN_HEADING.match(first)
    title = (heading["a"] or heading["b"]) if heading else first
    # Every known title has at most 80 characters; a longer first line is prose.
    return title if len(title) <= 80 and not title.endswith((".", "!", ":", ",", ";")) else ""


def _headings(lines: Sequence[str], filled: Sequence[int], dotted: bool) -> dict[int, str]:
    """Return headings by line number."""
    found: dict[int, str] = {}
    spaced = any(later > earlier + 1 for earlier, later in pairwise(filled))
    for here, following in pairwise(filled[1:]):
        line = lines[here].strip()
        marked = _MARKDOWN_HEADING.match(line)
        if marked:
            found[here] = marked["a"] or marked["b"]
        elif len(line) > _HEADING_CHARACTERS or _ITEM.match(line) or _DAMAGE.search(line):
            continue
        elif spaced and not lines[here - 1] and not lines[here + 1]:
            ends_open = line[-1].isalnum() or line[-1] in ")]?"
            if ends_open and len(lines[following]) >= _BODY_CHARACTERS:
                found[here] = line
        elif dotted and len(lines[following]) >= _BODY_CHARACTERS and _is_dotted(line):
            found[here] = line[:-1]
    return found


def _is_dotted(line: str) -> bool:
    """Return whether a line is a heading as in encyclopedia extracts: "Early life."."""
    words = line[:-1].split()
    return (
        line.endswith(".")
        and line[0].isupper()
        and len(words) <= 6
        and not re.search(r"[.,;:!?\"]", line[:-1])
        and not _VERB.search(line)
    )


def _parts(
    lines: Sequence[str], headings: Mapping[int, str], skip: int
) -> tuple[tuple[Section, ...], list[str]]:
    """Return sections and all paragraphs; wrapped lines are joined."""
    sections: list[Section] = []
    paragraphs: list[str] = []
    heading, body, paragraph = "", [""], ""
    for number, line in enumerate([*lines, ""]):
        wrapped = len(line) >= _WRAPPED_CHARACTERS and line[-1:] not in '.?!"”)…:'
        is_text = number not in headings and number != skip and not _ITEM.match(line)
        paragraph = f"{paragraph} {line}".strip() if is_text and line else paragraph
        if paragraph and not (is_text and wrapped):
            paragraphs.append(paragraph)
            paragraph = ""
        if number in headings:
            if heading and len(body) > 1:
                sections.append(Section(heading, flatten(" ".join(body))))
            heading, body = headings[number], [""]
        elif line:
            body.append(line)
    if heading and len(body) > 1:
        sections.append(Section(heading, flatten(" ".join(body))))
    return tuple(sections), paragraphs


def _line_lists(lines: Sequence[str]) -> list[tuple[str, ...]]:
    """Return runs of lines that start with a bullet or a number."""
    found: list[tuple[str, ...]] = []
    items: list[str] = []
    for line in [*lines, "end"]:
        item = _ITEM.match(line)
        if item:
            items.append(flatten(item["item"]))
        elif line:
            if len(items) >= _LIST_ITEMS:
                found.append(tuple(items))
            items = []
    return found
