"""Verify questions made by rules: the document must support question and answer."""

from __future__ import annotations

import re

from dnsity.data.example import Language, Question
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.rules.page import (
    BLANK,
    Page,
    Rules,
    Section,
    overlap,
    read_page,
)

# Headings of many encyclopedia articles; a question on them is not specific to this one.
_GENERIC = re.compile(
    r"(?:references?|external links?|further reading|see also|notes?|sources?|bibliography|other|"
    r"footnotes|gallery|overview|introduction|citations|참고 문헌|각주|같이 보기|외부 링크|출처)$",
    re.IGNORECASE,
)
_LONGEST_BLANK = 60
_LONGEST_ITEM = 60
_LONGEST_SWAP = 40
_FACT_WORDS = 0.6
"""Share of a question's words that the sentence with the answer must contain."""
_ASIDE = re.compile(r" \([^()]*\)$")


def rules_for(language: Language) -> Rules:
    """Return the grammar of a language."""
    return LANGUAGES[language].rules


def plain_title(title: str) -> str:
    """Return a title without an aside such as in "Set (mathematics)"."""
    return _ASIDE.sub("", title.strip())


def fits_once(blanked: str, flat: str) -> bool:
    """Return whether a sentence with a blank matches the text in one place only."""
    before, _, after = blanked.partition(BLANK)
    shape = f"{re.escape(before)}.{{1,{_LONGEST_BLANK}}}?{re.escape(after)}"
    return len(re.findall(shape, flat)) == 1


def telling_sections(page: Page) -> list[Section]:
    """Return sections with a unique heading that is not generic."""
    headings = [section.heading for section in page.sections]
    return [
        section
        for section in page.sections
        if headings.count(section.heading) == 1 and not _GENERIC.match(section.heading)
    ]


def all_lists(page: Page, rules: Rules) -> list[tuple[str, ...]]:
    """Return lists, in lines or sentences, that their first item identifies."""
    found = [tuple(item.rstrip(".,;") for item in items) for items in page.lists]
    for sentence in page.sentences:
        if rules.intact(sentence):
            found += rules.lists(sentence)
    firsts = [items[0] for items in found]
    return [
        items
        for items in found
        if firsts.count(items[0]) == 1
        and len(set(items)) == len(items)
        and all(len(item) <= _LONGEST_ITEM for item in items)
    ]


def supported(question: Question, document: str, language: Language, title: str = "") -> bool:
    """Return whether the document supports a question and answer made by rules.

    Args:
        question: One with a kind that `rule_questions` makes.
        document: The document that it is about.
        language: Their language.
        title: The document's title, for questions on the topic.

    Returns:
        False also for questions of other kinds or wordings, which cannot be verified.
    """
    rules = rules_for(language)
    page = read_page(document, rules.dotted_headings)
    kind = question.kind
    if kind.startswith("fact:"):
        return _fact(question, page, rules)
    if kind not in rules.templates:
        return False
    values = rules.read(question.text, kind)
    if values is None:
        return False
    if kind.startswith("cloze:"):
        return _cloze(question, values["s"], page)
    if kind.startswith("section:"):
        return _section(question, values["x"], page)
    if kind.startswith("list:"):
        return _list(question, values, page, rules)
    if kind == "yesno":
        is_true = values["s"] in page.flat
        false = not is_true and _one_swap_away(values["s"], page)
        return (is_true, false) == tuple(question.answer == word for word in rules.answers)
    if kind == "title":
        return question.answer == page.title_line
    return question.answer == plain_title(title) and question.answer in page.flat


def _fact(question: Question, page: Page, rules: Rules) -> bool:
    words = rules.words(question.text)
    return any(
        question.answer in sentence and overlap(words, rules.words(sentence)) >= _FACT_WORDS
        for sentence in page.sentences
    )


def _cloze(question: Question, blanked: str, page: Page) -> bool:
    readings = (question.answer, *question.alternatives)
    found = any(blanked.replace(BLANK, reading) in page.flat for reading in readings)
    return found and blanked.count(BLANK) == 1 and fits_once(blanked, page.flat)


def _section(question: Question, asked: str, page: Page) -> bool:
    if question.kind == "section:of":
        mentioning = [section.heading for section in page.sections if asked in section.body]
        return mentioning == [question.answer]
    headings = [section.heading for section in page.sections]
    return (
        headings.count(asked) == 1
        and headings[headings.index(asked) + 1 :][:1] == [question.answer]
    )  # fmt: skip


def _list(question: Question, values: dict[str, str], page: Page, rules: Rules) -> bool:
    chosen = [items for items in all_lists(page, rules) if items[0] == values["x"]]
    if len(chosen) != 1 or values["y"] not in chosen[0]:
        return False
    items = chosen[0]
    at = items.index(values["y"])
    if question.kind == "list:count":
        return at == len(items) - 1 and question.answer == str(len(items))
    return items[at + 1 :][:1] == (question.answer,)


def _one_swap_away(statement: str, page: Page) -> bool:
    """Return whether a sentence differs from the statement in one short span only."""
    for sentence in page.sentences:
        start = 0
        shortest = min(len(sentence), len(statement))
        while start < shortest and sentence[start] == statement[start]:
            start += 1
        end = 0
        while end < shortest - start and sentence[-1 - end] == statement[-1 - end]:
            end += 1
        if max(len(sentence), len(statement)) - start - end <= _LONGEST_SWAP and start + end >= 20:
            return True
    return False
