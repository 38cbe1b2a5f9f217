"""Questions on an encyclopedia article that no single sentence of it answers.

    title     its title
    topic     what its subject is, in a few words
    lead      its first sentence, the subject blank
    summary   its first sentence
    part      in which third a sentence occurs
    yes_no    whether it is about a title

The document is the article without its title and first paragraph. Title, definition and summary
come from the removed part, so they cannot be copied from the document.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from dnsity.data.example import Language, Question
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.leads import Lead, read_lead
from dnsity.data.generators.rules.check import plain_title, rules_for
from dnsity.data.generators.rules.page import flatten
from dnsity.data.readers.corpus import Document
from dnsity.data.text.sentences import sentence_ends

_CLEAR = 0.15
"""Share of a third at each of its ends from which no sentence is used."""


@dataclass(frozen=True, slots=True)
class Article:
    """An article in parts; `body` is what becomes the document."""

    id: str
    title: str
    lead: Lead
    body: str


ANSWERS: Mapping[str, Callable[[Article], str]] = {
    "title": lambda article: article.title,
    "topic": lambda article: article.lead.definition,
    "lead": lambda article: article.lead.masked,
    "summary": lambda article: article.lead.sentence,
}


def read_article(document: Document, language: Language) -> Article | None:
    """Split a document into the parts of an article.

    Returns:
        None if the first sentence does not say what the document is about.
    """
    title = plain_title(document.title)
    if not title:
        return None
    first, _, rest = document.text.strip().partition("\n")
    if plain_title(first.strip("#= ")).casefold() == title.casefold():
        first, _, rest = rest.strip().partition("\n")
    lead, body = read_lead(first.strip(), title, language), rest.strip()
    return Article(document.id, title, lead, body) if lead and body else None


def about(article: Article, language: Language, kind: str) -> Question:
    """Return the question of one kind of `ANSWERS`."""
    answer = ANSWERS[kind](article)
    return Question(LANGUAGES[language].questions.article[kind], answer, f"understanding:{kind}")


def whether_about(title: str, language: Language, *, yes: bool) -> Question:
    """Return the question whether a text is about a title."""
    answers = rules_for(language).answers
    text = LANGUAGES[language].questions.article["yes_no"].format(x=title)
    return Question(text, answers[not yes], "understanding:yes_no", choices=answers)


def in_which_third(rng: random.Random, language: Language, document: str) -> Question | None:
    """Ask in which third a complete, unique sentence is that is understandable alone."""
    rules, found = rules_for(language), dict[int, list[str]]()
    for start, end in pairwise(sentence_ends(document)):
        sentence = flatten(document[start:end])
        third, within = divmod((start + end) / 2 / len(document) * 3, 1)
        if (
            _CLEAR < within < 1 - _CLEAR
            and rules.intact(sentence)
            and rules.stands_alone(sentence)
            and document.count(document[start:end].strip()) == 1
        ):
            found.setdefault(int(third), []).append(sentence)
    if not found:
        return None
    third = rng.choice(sorted(found))
    text = LANGUAGES[language].questions.article["part"].format(x=rng.choice(found[third]))
    thirds = LANGUAGES[language].questions.thirds
    return Question(text, thirds[third], "understanding:part", choices=thirds)
