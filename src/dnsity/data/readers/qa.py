"""Question answering sets in their published formats, as examples.

    .json     SQuAD (KorQuAD 1.0, PolicyQA): the paragraphs of an article become one document, in
              order, separated by blank lines
    .jsonl    {context, question, answers} (Natural Questions with the gold passage): questions on
              the same context form one example; or example records, see `data.example`
    .csv      FairytaleQA: the sections of a story become one document, see `data.stories`

An example's `source` is its article: the title, in Natural Questions the first line of the context.
It assigns the article to training or testing, so no article is in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from dnsity.data.example import Example, Language, Question
from dnsity.data.readers.corpus import Side, side_of
from dnsity.data.readers.stories import read_rows, whole_story
from dnsity.errors import BadInputError
from dnsity.io.jsonl import parse_json, read_records
from dnsity.io.text import read_text

KIND = "qa"
_T = TypeVar("_T")
_NAMES: dict[type, str] = {str: "text", list: "a list", dict: "an object"}
_Asked = tuple[str, Sequence[str]]  # a question and its answers


def read_qa(path: Path, language: Language) -> Iterator[Example]:
    """Read a question answering set.

    Args:
        path: `.json` in SQuAD's form, `.jsonl`, also compressed, or `.csv` in FairytaleQA's form.
        language: Its language; example records in other languages are skipped.

    Yields:
        Documents with at least one question, in the file's order. A question that occurs twice on
        one document is asked once, and the answers of both are right.

    Raises:
        BadInputError: If the file cannot be read or is damaged; names file and record.
    """
    if path.suffix.lower() == ".json":
        yield from _squad(path, language)
        return
    if path.suffix.lower() == ".csv":
        yield from _stories(path, language)
        return
    if ".jsonl" not in map(str.lower, path.suffixes):
        raise BadInputError(
            f"{path}: question answering is read from .json (SQuAD), .jsonl and .csv (FairytaleQA) "
            "files"
        )
    records = ((f"{path} record {n}", r) for n, r in enumerate(read_records(path), start=1))
    first = next(records, None)
    if first is None:
        raise BadInputError(f"{path} is empty; write one record a line")
    everything = chain([first], records)
    if "context" in first[1]:
        yield from _by_context(everything, language)
        return
    for where, record in everything:
        example = Example.from_record(record, where)
        if example.language == language and example.questions:
            yield example


def on_side(examples: Iterable[Example], side: Side, test_share: float) -> Iterator[Example]:
    """Yield the examples whose article is for training, or for testing.

    Args:
        examples: Examples of one set.
        side: `train` or `test`.
        test_share: Share of articles for testing.
    """
    return (one for one in examples if side_of(one.source, test_share) == side)


def _squad(path: Path, language: Language) -> Iterator[Example]:
    content = parse_json(read_text(path), str(path))
    for number, article in enumerate(_field(content, "data", list, str(path)), start=1):
        where = f"{path} article {number}"
        contexts, asked = [], list[_Asked]()
        for at, paragraph in enumerate(_field(article, "paragraphs", list, where), start=1):
            inside = f"{where} paragraph {at}"
            contexts.append(_field(paragraph, "context", str, inside))
            for place, question in enumerate(_field(paragraph, "qas", list, inside), start=1):
                asked.append(_squad_question(question, f"{inside} question {place}"))
        source = str(article.get("title") or f"{path.name}:{number}")
        questions = _questions(asked)
        if questions:
            yield Example("\n\n".join(contexts), questions, language, source)


def _squad_question(question: Any, where: str) -> _Asked:
    """Return a question and its answers, which may be none in SQuAD 2."""
    answers = _field(question, "answers", list, where)
    text = _field(question, "question", str, where)
    return text, [_field(answer, "text", str, where) for answer in answers]


def _by_context(records: Iterable[tuple[str, Any]], language: Language) -> Iterator[Example]:
    asked: dict[str, list[_Asked]] = {}
    for where, record in records:
        answers = _field(record, "answers", list, where)
        texts = [answer for answer in answers if isinstance(answer, str)]
        if len(texts) < len(answers) or not "".join(texts).strip():
            raise BadInputError(f"{where}: answers must be texts, at least one; found {answers!r}")
        context = _field(record, "context", str, where)
        asked.setdefault(context, []).append((_field(record, "question", str, where), answers))
    for context, found in asked.items():
        title = context.partition("\n")[0].strip()
        questions = _questions(found)
        if questions:
            yield Example(context, questions, language, title)


def _stories(path: Path, language: Language) -> Iterator[Example]:
    """Yield whole stories, in the order in which they begin."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(path):
        found.setdefault(row["story_name"].strip(), []).append(row)
    for name, rows in found.items():
        asked = [(row["question"], [row["answer1"], row.get("answer2", "")]) for row in rows]
        story = whole_story(row["story_section"] for row in rows)
        yield Example(story, _questions(asked), language, name)


def _questions(asked: Iterable[_Asked]) -> tuple[Question, ...]:
    """Return each question once, with all its answers; the first is the answer."""
    merged: dict[str, dict[str, None]] = {}
    for text, answers in asked:
        known = merged.setdefault(" ".join(text.split()), {})
        known.update(dict.fromkeys(answer.strip() for answer in answers if answer.strip()))
    questions = []
    for text, right in merged.items():
        if text and right:
            first, *others = right
            questions.append(Question(text, first, KIND, tuple(others)))
    return tuple(questions)


def _field(record: Any, name: str, kind: type[_T], where: str) -> _T:
    """Return a field that must exist and have a type."""
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        fields = ", ".join(record) if isinstance(record, dict) else type(record).__name__
        found = f"only {fields}" if value is None else type(value).__name__
        raise BadInputError(f"{where}: {name} must be {_NAMES[kind]}; found {found:.120}")
    return value
