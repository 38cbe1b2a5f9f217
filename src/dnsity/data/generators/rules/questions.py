"""Questions made from a document by rules, without a model; each can be verified.

    cloze     a sentence with one span blanked               cloze:number, :year, :date ...
    fact      from sentences of reliable structure           fact:year, :date, :number, :place, ...
    yesno     a statement, or the same made false            yesno
    section   headings: who mentions what, what comes next   section:of, section:next
    list      how many items, and what follows one           list:count, list:next
    title     the title line, or what the text is about      title, topic

A question is made only if the document determines one answer; `supported` verifies this from
question, answer and document alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dnsity.data.example import Language, Question
from dnsity.data.generators.rules.check import (
    all_lists,
    fits_once,
    plain_title,
    rules_for,
    supported,
    telling_sections,
)
from dnsity.data.generators.rules.falsify import make_false
from dnsity.data.generators.rules.page import (
    BLANK,
    Page,
    Rules,
    Span,
    overlap,
    read_page,
)

_LEAST_WORDS = 4
_LONGEST_MENTION = 40
_ALIKE = 0.6
"""Share of common words from which two sentences could be confused."""
_ANSWERED_TWICE = 0.75
_MENTIONS_OF_A_TOPIC = 3
_SECTION_QUESTIONS = 4


@dataclass(frozen=True, slots=True)
class _Made:
    """A question, and the sentence that it reveals; no second question is made from it."""

    question: Question
    sentence: str = ""


@dataclass(slots=True)
class _Work:
    """The document and what all question makers share."""

    page: Page
    title: str
    rules: Rules
    rng: random.Random
    words: list[frozenset[str]] = field(init=False)
    seen_in: Counter[str] = field(init=False)
    good: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.words = [frozenset(self.rules.words(sentence)) for sentence in self.page.sentences]
        self.seen_in = Counter(word for words in self.words for word in words)
        self.good = [
            sentence
            for sentence in self.page.sentences
            if self.rules.intact(sentence)
            and self.rules.stands_alone(sentence)
            and self.page.flat.count(sentence) == 1
        ]

    def shuffled(self, items: list[str]) -> list[str]:
        return self.rng.sample(items, len(items))

    def identifies_itself(self, blanked: str, sentence: str) -> bool:
        """Return whether the rest of a sentence still identifies this sentence."""
        words = self.rules.words(blanked)
        own = sum(self.seen_in[word] == 1 for word in dict.fromkeys(words))
        return len(words) >= _LEAST_WORDS and own >= 2 and self.unlike(words, sentence, _ALIKE)

    def unlike(self, words: list[str], sentence: str, limit: float) -> bool:
        """Return whether no other sentence of the document has so many of the words."""
        others = zip(self.page.sentences, self.words, strict=True)
        return all(other == sentence or overlap(words, known) < limit for other, known in others)


def rule_questions(
    document: str, *, title: str = "", language: Language, rng: random.Random, limit: int
) -> list[Question]:
    """Make up to `limit` questions on a document, of as many kinds as it allows.

    Args:
        document: The text asked about.
        title: Its title, if it has one; it may be missing in the text.
        language: The language of the text and of the questions.
        rng: The only source of randomness.
        limit: Maximum questions; a text may support fewer.

    Returns:
        Questions whose answers follow from the document, each from another sentence.
    """
    rules = rules_for(language)
    work = _Work(read_page(document, rules.dotted_headings), plain_title(title), rules, rng)
    makers: list[Callable[[_Work], Iterator[_Made]]] = [
        _clozes, _facts, _statements, _section_questions, _list_questions, _title_questions,
    ]  # fmt: skip
    rng.shuffle(makers)
    streams = [make(work) for make in makers]
    made: list[Question] = []
    used: set[str] = set()
    while streams and len(made) < limit:
        for stream in list(streams):
            found = next((each for each in stream if each.sentence not in used), None)
            if found is None:
                streams.remove(stream)
            elif len(made) < limit and supported(found.question, document, language, title):
                made.append(found.question)
                used |= {found.sentence} - {""}
    return made


def _clozes(work: _Work) -> Iterator[_Made]:
    """Alternate between kinds, since most texts have many numbers and few names."""
    waiting: dict[str, list[tuple[str, Span]]] = {}
    for sentence in work.shuffled(work.good):
        for span in work.rules.spans(sentence):
            waiting.setdefault(span.kind, []).append((sentence, span))
    kinds = sorted(waiting)
    work.rng.shuffle(kinds)
    while any(waiting.values()):
        for kind in kinds:
            while waiting[kind]:
                made = _cloze(work, *waiting[kind].pop())
                if made:
                    yield made
                    break


def _cloze(work: _Work, sentence: str, span: Span) -> _Made | None:
    readings = work.rules.readings(sentence, span)
    answer = readings[0]
    blanked = sentence[: span.start] + BLANK + sentence[span.end :]
    folded = answer.casefold()
    named = span.kind in ("name", "term")
    repeats = set(work.rules.words(answer)) & set(work.rules.words(blanked))
    if (
        sentence.count(answer) != 1
        or (named and (repeats or folded in work.title.casefold()))
        or not work.identifies_itself(blanked, sentence)
        or not fits_once(blanked, work.page.flat)
    ):
        return None
    kind = f"cloze:{span.kind}"
    text = work.rules.word(work.rng, kind, s=blanked)
    return _Made(Question(text, answer, kind, readings[1:]), sentence)


def _facts(work: _Work) -> Iterator[_Made]:
    for sentence in work.shuffled(work.good):
        found = work.rules.facts(sentence)
        work.rng.shuffle(found)
        for fact in found:
            words = work.rules.words(fact.question)
            clear = fact.answer.casefold() not in fact.question.casefold()
            if clear and work.unlike(words, sentence, _ANSWERED_TWICE):
                question = Question(fact.question, fact.answer, fact.kind, fact.alternatives)
                yield _Made(question, sentence)


def _statements(work: _Work) -> Iterator[_Made]:
    """Alternate true and false statements; true ones could have been made false, too.

    Otherwise the kind of statement would reveal the answer.
    """
    is_true = work.rng.random() < 0.5
    for sentence in work.shuffled(work.good):
        words = work.rules.words(sentence)
        if len(words) < _LEAST_WORDS or not work.unlike(words, sentence, _ALIKE):
            continue
        false = make_false(sentence, work.page, work.rules, work.rng)
        if false:
            text = work.rules.word(work.rng, "yesno", s=sentence if is_true else false)
            answers = work.rules.answers
            answer = answers[0] if is_true else answers[1]
            yield _Made(Question(text, answer, "yesno", choices=answers), sentence)
            is_true = not is_true


def _section_questions(work: _Work) -> Iterator[_Made]:
    sections = telling_sections(work.page)
    if len(sections) < 2:
        return
    pairs = [
        (section, mention)
        for section in sections
        for mention in _mentions(work, section.body)
        if work.page.flat.count(mention) == section.body.count(mention)
        and mention.casefold() not in work.title.casefold()
        and not any(mention in other.heading for other in work.page.sections)
    ]
    work.rng.shuffle(pairs)
    first = {section.heading: mention for section, mention in pairs}
    for section in work.rng.sample(sections, min(_SECTION_QUESTIONS, len(sections))):
        mention = first.get(section.heading)
        if mention:
            text = work.rules.word(work.rng, "section:of", x=mention)
            yield _Made(Question(text, section.heading, "section:of"))
    headings = [section.heading for section in work.page.sections]
    places = [at for at, section in enumerate(work.page.sections[:-1]) if section in sections]
    for at in work.rng.sample(places, len(places))[:1]:
        text = work.rules.word(work.rng, "section:next", x=headings[at])
        yield _Made(Question(text, headings[at + 1], "section:next"))


def _mentions(work: _Work, body: str) -> list[str]:
    """Return names and quoted terms in sentences of the body, in order, each once."""
    found = [
        work.rules.readings(sentence, span)[0]
        for sentence in work.page.sentences
        if sentence in body and work.rules.intact(sentence)
        for span in work.rules.spans(sentence)
        if span.kind in ("name", "term") and span.end - span.start <= _LONGEST_MENTION
    ]
    return list(dict.fromkeys(found))


def _list_questions(work: _Work) -> Iterator[_Made]:
    lists = all_lists(work.page, work.rules)
    for items in work.rng.sample(lists, len(lists)):
        if work.rng.random() < 0.5:
            text = work.rules.word(work.rng, "list:count", x=items[0], y=items[-1])
            yield _Made(Question(text, str(len(items)), "list:count"))
        else:
            at = work.rng.randrange(1, len(items) - 1)
            text = work.rules.word(work.rng, "list:next", x=items[0], y=items[at])
            yield _Made(Question(text, items[at + 1], "list:next"))


def _title_questions(work: _Work) -> Iterator[_Made]:
    page, rules, title = work.page, work.rules, work.title
    opening = page.sentences[0] if page.sentences else ""
    if page.title_line:
        yield _Made(Question(rules.word(work.rng, "title"), page.title_line, "title"))
    elif title and title in opening and page.flat.count(title) >= _MENTIONS_OF_A_TOPIC:
        yield _Made(Question(rules.word(work.rng, "topic"), title, "topic"))
