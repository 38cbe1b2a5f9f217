"""Understanding of whole documents: questions that no single sentence of an article answers.

    title     its title                               choose, generate
    topic     its subject, in a few words             choose, generate
    lead      its first sentence, with a blank        choose
    part      the third that a sentence is in         choose
    summary   one sentence about all of it            choose, generate
    yes_no    whether it has a given title; asked twice, once with the title of another article

The document is the article without its title and first paragraph, cut to an exact length. The
answers come from the removed text, so the model cannot copy them. Articles whose first sentence is
no definition are skipped.

Prompt: the question alone. The choices are not listed; each is scored as its continuation. Wrong
choices come from other articles. They have a similar length, are longer as often as shorter, and
share less than half of their words with the right choice, and the article does not mention the
titles of theirs. A question with fewer than three wrong choices is skipped. Metric: the most likely
choice per character (`understanding_en`), ROUGE-L (`understanding_en_generate`). Split: held-out
articles of the user; every article is used at one length before any is used at a second.

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
"""Number of next longer, and of next shorter, texts that wrong choices are sampled from."""
_MOST_DOCUMENTS = 2000
"""Documents to read from a corpus, which bounds memory and time."""
_SUMMARY_TOKENS = 96
_GENERATED = ("title", "topic", "summary")


class Understanding(Family):
    """Settings of understanding tasks.

    Attributes:
        family: `understanding`.
        language: Language of documents and questions.
        documents: Articles with titles, for `data.readers.corpus.read_documents`; a paragraph ends
            at a line break.
        tokens: Document lengths in tokens; shorter articles are not used at a length.
        forms: Whether the model chooses answers, generates them, or both.
    """

    family: Literal["understanding"]
    language: Language
    documents: str
    tokens: list[Tokens] = Field(default=[512, 1024, 2048], min_length=1)
    forms: list[Form] = Field(default=["choose", "generate"], min_length=1)

    @property
    def name(self) -> str:
        """The beginning of the task names, for example `understanding_en`."""
        return f"understanding_{self.language}"

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Sample articles, evenly over lengths; both forms use the same ones."""
        articles = _read(self.documents, self.language)
        order = random.Random(f"{self.name}/{seed}").sample(articles, len(articles))
        cuts = list(islice(self._cuts(order, encoder), limit))
        if not cuts:
            longest = max(len(encoder.encode(article.body)) for article in articles)
            raise BadInputError(
                f"{self.documents}: no article has {min(self.tokens)} tokens after its first "
                f"paragraph, the longest has {longest}; lower tokens or add longer articles"
            )
        maker = _QuestionMaker(self.language, articles, seed)
        tasks = []
        if "choose" in self.forms:
            items = _items(cuts, self.language, maker.to_choose)
            tasks.append(Task(self.name, VERSION, CHOICE, items))
        if "generate" in self.forms:
            items = _items(cuts, self.language, maker.to_generate)
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
    """An article cut to one length."""

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
    """Read the suitable articles, one per id and title."""
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
            f"{source}: {len(found)} of {count} documents are suitable, {_CHOICES} are needed; "
            "each needs a title, a first paragraph that begins 'TITLE is a ...' (in Korean "
            "'TITLE은 ...이다.'), and more text after it"
        )
    return list(found.values())


class _QuestionMaker:
    """Makes questions about one article, with wrong choices from all others."""

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
        """Sample wrong choices; the number of longer ones is uniform from none to all.

        This way the length does not reveal the right choice.
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
        sampled = longer[:wanted] + shorter[: _CHOICES - 1 - wanted]
        spare = longer[wanted:] + shorter[_CHOICES - 1 - wanted :] + equal
        return [*sampled, *spare][: _CHOICES - 1]

    def _alike(self, one: str, other: str) -> bool:
        """Return whether two choices are so similar that both may be right."""
        words, others = self.rules.words(one), self.rules.words(other)
        shared = max(overlap(words, others), overlap(others, words))
        inside = one.casefold() in other.casefold() or other.casefold() in one.casefold()
        return inside or shared >= _ALIKE
