"""Understanding of whole documents: questions on an article that no single sentence of it answers.

    title     its title                               choose, generate
    topic     what its subject is, in a few words     choose, generate
    lead      its first sentence, the subject blank   choose
    part      in which third a sentence stands        choose
    summary   one sentence on all of it               choose, generate
    yes_no    whether it is about a title; asked twice, once with another article's

The document is the article without title and first paragraph, cut to an exact length. Title,
definition and summary are taken from what was left out, so they must be understood and cannot be
copied. Articles are left out whose first sentence does not say what they are about.

Prompt: the question alone; the choices are not listed, each is scored as its continuation. Wrong
choices are those of other articles that are about as long, as often longer as shorter, share less
than half of their words with the right one, and whose title the article does not mention; where
three are not found, nothing is asked. Metric: the likeliest choice per character
(`understanding_en`), ROUGE-L (`understanding_en_generate`). Split: articles the user holds out;
each is met at one length before any is met at a second.

Version 1.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from pydantic import Field

from dnsity.config import Tokens
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language, Question
from dnsity.data.generators.articles import (
    ANSWERS,
    Article,
    about,
    in_which_third,
    read_article,
    whether_about,
)
from dnsity.data.generators.rules.check import rules_for
from dnsity.data.generators.rules.page import overlap
from dnsity.data.readers.corpus import read_documents
from dnsity.errors import BadInputError
from dnsity.evaluation.task import CHOICE, Family, Item, Task

VERSION = 1
Form = Literal["choose", "generate"]
_CHOICES = 4
_ALIKE = 0.5
_NEAR = 12
"""Wrong choices are drawn from so many that are next longer, and so many that are next shorter."""
_MOST_DOCUMENTS = 2000
"""Read of a corpus, so that memory and time are bounded."""
_SUMMARY_TOKENS = 96
_GENERATED = ("title", "topic", "summary")


class Understanding(Family):
    """Settings.

    Attributes:
        family: `understanding`.
        language: Of documents and questions.
        documents: Articles with titles, as `data.corpus.read_documents` takes them; a paragraph
            ends at a line break.
        tokens: Document lengths; an article is not asked about at lengths it does not reach.
        forms: Whether answers are chosen, generated, or both.
    """

    family: Literal["understanding"]
    language: Language
    documents: str
    tokens: list[Tokens] = Field(default=[512, 1024, 2048], min_length=1)
    forms: list[Form] = Field(default=["choose", "generate"], min_length=1)

    @property
    def name(self) -> str:
        """E.g. `understanding_en`."""
        return f"understanding_{self.language}"

    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Draw articles, evenly over lengths; both forms ask about the same ones."""
        articles = _read(self.documents, self.language)
        order = random.Random(f"{self.name}/{seed}").sample(articles, len(articles))
        drawn = list(islice(self._cuts(order, encoder), limit))
        if not drawn:
            longest = max(len(encoder.encode(article.body)) for article in articles)
            raise BadInputError(
                f"{self.documents}: no article has {min(self.tokens)} tokens behind its first "
                f"paragraph, the longest has {longest}; ask for shorter documents or add longer"
            )
        ask = _Asker(self.language, articles, seed)
        tasks = []
        if "choose" in self.forms:
            items = _items(drawn, self.language, ask.to_choose)
            tasks.append(Task(self.name, VERSION, CHOICE, items))
        if "generate" in self.forms:
            items = _items(drawn, self.language, ask.to_generate)
            name = f"{self.name}_generate"
            tasks.append(Task(name, VERSION, "rouge_l", items, _SUMMARY_TOKENS))
        return tasks

    def _cuts(self, order: Sequence[Article], encoder: TextEncoder) -> Iterator[_Cut]:
        for turn in range(len(self.tokens)):
            for number, article in enumerate(order):
                tokens = self.tokens[(number + turn) % len(self.tokens)]
                document = encoder.cut(article.body, tokens)
                if document is not None:
                    yield _Cut(article, tokens, document)


@dataclass(frozen=True, slots=True)
class _Cut:
    """An article at one length."""

    article: Article
    tokens: int
    document: str


def _items(
    cuts: Iterable[_Cut], language: Language, ask: Callable[[_Cut], Iterable[Question]]
) -> tuple[Item, ...]:
    return tuple(
        Item(
            id=f"{cut.article.id}:{cut.tokens}",
            document=cut.document,
            questions=tuple(ask(cut)),
            labels={"language": language, "tokens": cut.tokens},
        )
        for cut in cuts
    )


def _read(source: str, language: Language) -> list[Article]:
    """Read the articles that can be asked about, one for each id and title."""
    found: dict[str, Article] = {}
    titles: set[str] = set()
    count = 0
    for document in islice(read_documents(source), _MOST_DOCUMENTS):
        count += 1
        article = read_article(document, language)
        if article and article.id not in found and article.title.casefold() not in titles:
            found[article.id] = article
            titles.add(article.title.casefold())
    if len(found) < _CHOICES:
        raise BadInputError(
            f"{source}: {len(found)} of {count} documents can be asked about, needed are "
            f"{_CHOICES}: each has a title, a first paragraph that begins 'TITLE is a ...' (in "
            "Korean 'TITLE은 ...이다.'), and more text behind it"
        )
    return list(found.values())


class _Asker:
    """Asks about one article of a set, with wrong answers from the others."""

    def __init__(self, language: Language, articles: Sequence[Article], seed: int) -> None:
        self.articles = articles
        self.seed = seed
        self.language = language
        self.rules = rules_for(language)

    def to_generate(self, cut: _Cut) -> Iterator[Question]:
        for kind in _GENERATED:
            yield about(cut.article, self.language, kind)

    def to_choose(self, cut: _Cut) -> Iterator[Question]:
        article, text = cut.article, cut.article.body.casefold()
        others = [
            other
            for other in self.articles
            if other is not article and other.title.casefold() not in text
        ]
        for kind, answer in ANSWERS.items():
            rng, right = self._rng(article, kind), answer(article)
            wrong = self._wrong(right, map(answer, others), article.title, rng)
            if len(wrong) == _CHOICES - 1:
                choices = tuple(rng.sample([right, *wrong], _CHOICES))
                yield replace(about(article, self.language, kind), choices=choices)
        part = in_which_third(self._rng(article, "part"), self.language, cut.document)
        if part is not None:
            yield part
        yield whether_about(article.title, self.language, yes=True)
        for other in self._rng(article, "yes_no").sample(others, min(1, len(others))):
            yield whether_about(other.title, self.language, yes=False)

    def _rng(self, article: Article, kind: str) -> random.Random:
        return random.Random(f"{self.seed}/{article.id}/{kind}")

    def _wrong(self, right: str, texts: Iterable[str], title: str, rng: random.Random) -> list[str]:
        """Draw wrong choices: as likely none, one, two or all are longer than the right one.

        Otherwise the length would say which is right.
        """
        fit = {
            text
            for text in texts
            if title.casefold() not in text.casefold() and not self._alike(text, right)
        }
        by_length = sorted(fit, key=lambda text: (len(text), text))
        low, high = (
            bisect(by_length, len(right), key=len) for bisect in (bisect_left, bisect_right)
        )
        shorter, equal = by_length[max(0, low - _NEAR) : low], by_length[low:high]
        longer = by_length[high : high + _NEAR]
        for texts_of_a_length in (shorter, equal, longer):
            rng.shuffle(texts_of_a_length)
        wanted = rng.randrange(_CHOICES)
        drawn = longer[:wanted] + shorter[: _CHOICES - 1 - wanted]
        spare = longer[wanted:] + shorter[_CHOICES - 1 - wanted :] + equal
        return [*drawn, *spare][: _CHOICES - 1]

    def _alike(self, one: str, other: str) -> bool:
        """Whether one choice might be as right as the other."""
        words, others = self.rules.words(one), self.rules.words(other)
        shared = max(overlap(words, others), overlap(others, words))
        inside = one.casefold() in other.casefold() or other.casefold() in one.casefold()
        return inside or shared >= _ALIKE
