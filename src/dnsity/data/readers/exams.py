"""Korean administrative exams: multiple-choice questions, closed-book or on a document.

The details of an example have, for each question, `ids` and `subjects` (and `evidence`, the span of
the document that determines the answer, if the source has it), and `year` if known.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dnsity.data.example import Detail, Example, Question
from dnsity.errors import BadInputError
from dnsity.io.jsonl import parse_json, read_records
from dnsity.io.text import read_text

KMMLU_SUBJECTS = ("Law", "Public-Safety", "Political-Science-and-Sociology", "Korean-History")
"""The subjects of civil-service exams."""

_CLICK_SUBJECTS = "economy geography history law politics popular society tradition".split()
_CLICK_YEAR = re.compile(r"^(?:PSAT|PSE|CSAT)_(?:.*_)?(\d\d)_\d+$")

_Row: TypeAlias = Mapping[str, Any]
_log = logging.getLogger(__name__)


def load(name: str) -> Iterator[Example]:
    """Read ``open_book``, ``click:PATH``, ``kmmlu:PATH``, or the path of your questions.

    Raises:
        BadInputError: If a file cannot be read or a row is malformed.
    """
    if name == "open_book":
        return open_book()
    readers = {"click": click, "kmmlu": kmmlu}
    form, _, path = name.partition(":")
    return readers[form](Path(path)) if form in readers else own(Path(name))


def open_book() -> Iterator[Example]:
    """Read the bundled set: fictional Korean administrative documents with many questions each.

    Raises:
        BadInputError: If the installed files were altered.
    """
    path = Path(__file__).with_name("open_book_ko") / "questions.jsonl"
    return own(path, kind="exam:open_book")


def click(path: Path) -> Iterator[Example]:
    """Read a CLIcK file; questions on one paragraph form one example, others are closed-book.

    The subject is the first of CLIcK's categories in the name of the file.

    Raises:
        BadInputError: If the file cannot be read or a record is malformed.
    """
    words = _plain(path.stem).split("_")
    subject = next((word for word in words if word in _CLICK_SUBJECTS), "general")
    items = []
    for where, row in _rows(path):
        choices = _choices(row, where)
        answer = _answer(row, choices, where, by_number=False)
        text, kind = _text(row, "question", where), f"exam:click_{subject}"
        question = Question(text, answer, kind, choices=choices)
        identity = _text(row, "id", where)
        paragraph = _text(row, "paragraph", where, optional=True)
        year = next((2000 + int(found) for found in _CLICK_YEAR.findall(identity)), None)
        items.append(_Item(question, identity, subject, f"click:{identity}", paragraph, year))
    yield from _grouped(items)


def kmmlu(path: Path, subjects: Sequence[str] | None = KMMLU_SUBJECTS) -> Iterator[Example]:
    """Read a KMMLU file; every question is closed-book and a separate example.

    Rows without four distinct choices cannot be scored: they are skipped, and their number is
    logged.

    Args:
        path: CSV or JSON lines with question, answer (1..4), A, B, C, D and Category. If the
            Category is not a requested subject, the name of the file may be one.
        subjects: Requested subjects, with any spacing or hyphens (None: all).

    Raises:
        BadInputError: If the file cannot be read, a row is malformed or no row is on a subject.
    """
    wanted = None if subjects is None else {_plain(subject) for subject in subjects}
    stem = re.sub(r"-(train|dev|test)$", "", path.name.split(".")[0])
    met: set[str] = set()
    kept = skipped = 0
    for number, (where, row) in enumerate(_rows(path), start=1):
        names = [_text(row, "Category", where, optional=True) or stem, stem]
        met.add(names[0])
        subject = next((name for name in names if wanted is None or _plain(name) in wanted), None)
        if subject is None:
            continue
        kept += 1
        choices = tuple(_text(row, letter, where, optional=True) for letter in "ABCD")
        if not all(choices) or len(set(choices)) < 4:
            skipped += 1
            continue
        right = _text(row, "answer", where)
        if right not in ("1", "2", "3", "4"):
            raise BadInputError(f"{where}: answer {right[:80]!r}; allowed are 1, 2, 3 and 4")
        text, kind = _text(row, "question", where), f"exam:kmmlu_{_plain(subject)}"
        question = Question(text, choices[int(right) - 1], kind, choices=choices)
        identity = f"{stem}-{number}"
        yield from _grouped([_Item(question, identity, subject, f"kmmlu:{identity}")])
    if not kept:
        found, asked = ", ".join(sorted(met)) or "no rows", ", ".join(subjects or ["any subject"])
        raise BadInputError(f"{path}: no question on {asked}; ask for what it holds: {found}")
    if skipped:
        _log.warning("%s: skipped %d rows without four distinct choices", path, skipped)


def own(path: Path, *, kind: str = "exam:own") -> Iterator[Example]:
    """Read your questions; those on one document form one example.

    Each row has a question, choices (a list, in CSV as JSON, or fields choice_1, choice_2, ...) and
    the answer (a choice's text, or its number from 1). It may have a document (the path of a text
    file below the folder of `path`) or document_text; without either it is closed-book. Further
    fields: id, subject, kind (appended to `kind`) and evidence (a verbatim span of the document).

    Args:
        path: CSV, a JSON list or JSON lines, in UTF-8.
        kind: The kind of all questions.

    Raises:
        BadInputError: If a file cannot be read or a row is malformed; names file and row.
    """
    items = []
    for number, (where, row) in enumerate(_rows(path), start=1):
        choices = _choices(row, where)
        answer = _answer(row, choices, where)
        asked = _text(row, "kind", where, optional=True)
        identity = _text(row, "id", where, optional=True) or str(number)
        document, source = _document(row, path.parent, where)
        evidence = _text(row, "evidence", where, optional=True)
        if evidence not in document:
            raise BadInputError(f"{where}: evidence {evidence[:60]!r} is not in the document")
        text, subject = _text(row, "question", where), _text(row, "subject", where, optional=True)
        question = Question(text, answer, f"{kind}:{asked}" if asked else kind, choices=choices)
        source = source or f"{path.stem}:{identity}"
        items.append(_Item(question, identity, subject, source, document, evidence=evidence))
    if not items:
        raise BadInputError(f"{path}: no questions; write one row for each")
    yield from _grouped(items)


@dataclass(frozen=True, slots=True)
class _Item:
    """One question and where it comes from."""

    question: Question
    identity: str
    subject: str
    source: str
    document: str = ""
    year: int | None = None
    evidence: str = ""


def _grouped(items: Sequence[_Item]) -> Iterator[Example]:
    """Yield one example per document, in order of appearance, and per closed-book question."""
    groups: dict[str | int, list[_Item]] = {}
    for number, item in enumerate(items):
        groups.setdefault(item.document or number, []).append(item)
    for group in groups.values():
        details: dict[str, Detail] = {"ids": [item.identity for item in group]}
        details["subjects"] = [item.subject for item in group]
        year = group[0].year
        if year is not None and all(item.year == year for item in group):
            details["year"] = year
        if any(item.evidence for item in group):
            details["evidence"] = [item.evidence for item in group]
        questions = tuple(item.question for item in group)
        yield Example(group[0].document, questions, "ko", group[0].source, details)


def _text(row: _Row, name: str, where: str, *, optional: bool = False) -> str:
    """Return a field as text without surrounding space; integers count as text."""
    value = row.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise BadInputError(f"{where}: {name} is {type(value).__name__}; write it as text")
    text = "" if value is None else str(value).strip()
    if not text and not optional:
        raise BadInputError(f"{where}: {name} is missing or empty (found: {', '.join(row)})")
    return text


def _choices(row: _Row, where: str) -> tuple[str, ...]:
    """Return the choices, given as a list (in CSV as JSON) or in fields choice_1, choice_2, ..."""
    found = row.get("choices")
    if isinstance(found, str):
        with suppress(ValueError, RecursionError):
            found = json.loads(found)
    if not found:
        count = sum(name.startswith("choice_") for name in row)
        found = [row.get(f"choice_{number}") for number in range(1, count + 1)]
        while found and not found[-1]:  # in CSV some rows have fewer choices than others
            found.pop()
    given = found if isinstance(found, list) else []
    texts = tuple(text.strip() for text in given if isinstance(text, str))
    if len(texts) < max(2, len(given)) or not all(texts) or len(set(texts)) < len(texts):
        allowed = "a list of at least 2 different texts, or fields choice_1, choice_2, ..."
        raise BadInputError(f"{where}: choices must be {allowed}; found {found!s:.200}")
    return texts


def _answer(row: _Row, choices: tuple[str, ...], where: str, *, by_number: bool = True) -> str:
    """Return the correct choice, given by its text or its number."""
    answer = _text(row, "answer", where)
    numbered = {str(number): choice for number, choice in enumerate(choices, start=1)}
    meant = {answer, numbered.get(answer, answer) if by_number else answer} & set(choices)
    if len(meant) != 1:
        what = "both a choice and the number of another" if meant else "no choice"
        allowed = " / ".join(choices)[:200]
        raise BadInputError(f"{where}: answer {answer[:80]!r} is {what}; allowed are {allowed}")
    return meant.pop()


def _document(row: _Row, folder: Path, where: str) -> tuple[str, str]:
    """Return the document of a row and its name; both are empty for closed-book questions."""
    text = _text(row, "document_text", where, optional=True)
    name = _text(row, "document", where, optional=True)
    if not name:
        return text, ""
    if text:
        raise BadInputError(f"{where}: has both document and document_text; keep one")
    folder = folder.resolve()
    if "\0" in name or not (file := (folder / name).resolve()).is_relative_to(folder):
        raise BadInputError(f"{where}: document {name!r} is outside {folder}; copy it there")
    return _read(file, f"{where}: the document {file}"), file.relative_to(folder).as_posix()


def _rows(path: Path) -> Iterator[tuple[str, _Row]]:
    """Yield the rows of a CSV file, a JSON list or JSON lines with their place for errors."""
    if path.suffix == ".csv":
        yield from _csv_rows(path)
        return
    if path.suffix != ".json" and ".jsonl" not in path.suffixes:
        raise BadInputError(f"{path}: questions are read from .csv, .json and .jsonl files")
    records = _json_list(path) if path.suffix == ".json" else read_records(path)
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise BadInputError(f"{path} record {number} is no object with fields")
        yield f"{path} record {number}", record


def _json_list(path: Path) -> list[Any]:
    records = parse_json(_read(path, str(path)), str(path))
    if not isinstance(records, list):
        raise BadInputError(f"{path} is a JSON {type(records).__name__}; write a list of rows")
    return records


def _csv_rows(path: Path) -> Iterator[tuple[str, _Row]]:
    """Yield rows with numbers as in spreadsheets: the header is row 1."""
    reader = csv.reader(io.StringIO(_read(path, str(path)), newline=""), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            if not header:
                header = [cell.strip() for cell in cells]
            elif len(cells) > len(header):
                raise csv.Error(f"{len(cells)} cells under {len(header)} headings")
            elif any(cells):
                yield f"{path} row {number}", dict(zip(header, cells, strict=False))
            number += 1
    except csv.Error as error:
        remedy = "quote cells that hold commas, and put long documents into files of their own"
        raise BadInputError(f"{path} row {number} is no CSV ({error}); {remedy}") from error


def _read(path: Path, what: str) -> str:
    """Read a file; errors begin with `what`, and name the line that is not UTF-8."""
    try:
        text = read_text(path, what)
    except BadInputError as error:
        cause = error.__cause__
        if isinstance(cause, UnicodeDecodeError):
            line = cause.object[: cause.start].count(b"\n") + 1
            raise BadInputError(f"{what} line {line} is not UTF-8; save it as UTF-8") from error
        if path.is_dir() or isinstance(cause, OSError):
            why = cause.strerror if isinstance(cause, OSError) else "it is a directory"
            raise BadInputError(f"{what} cannot be read: {why}") from error
        raise
    if not text.strip():
        raise BadInputError(f"{what} is empty; name another file")
    return text


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name).lower()
