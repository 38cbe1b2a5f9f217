"""Synthetic questions on documents, made by rules or by a model and then filtered.

documents ──rules──▶ questions ──filters──▶ examples
    └─────model──▶ work file ──────┘
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from dnsity.data.example import Example, Language, Question
from dnsity.data.generators.filters import filter_questions
from dnsity.data.generators.rules.questions import rule_questions
from dnsity.data.generators.self_study.models import Generator
from dnsity.data.generators.self_study.study import SelfStudySettings, self_study
from dnsity.data.readers.corpus import Document
from dnsity.data.readers.records import read_examples

# More questions are made than wanted, since filters reject some.
_SURPLUS = 2


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that writes questions.

    Attributes:
        generate: The model, see `self_study`.
        work_file: File of its questions, from which a stopped run resumes.
        study: Settings of self-study.
    """

    generate: Generator
    work_file: Path
    study: SelfStudySettings | None = None


@dataclass(slots=True)
class SyntheticReport:
    """Counts of what was made and rejected so far.

    Attributes:
        documents: Documents read.
        questions: Questions that passed the filters.
        rejects: Rejected questions by reason.
    """

    documents: int = 0
    questions: int = 0
    rejects: Counter[str] = field(default_factory=Counter)


def make(
    documents: Iterable[Document],
    *,
    language: Language,
    per_document: int = 8,
    seed: int = 0,
    report: SyntheticReport | None = None,
    model: ModelSource | None = None,
) -> Iterator[Example]:
    """Make questions on documents.

    Args:
        documents: The documents to ask about.
        language: Language of documents and questions.
        per_document: Maximum questions on one document.
        seed: Random seed. `model.study` has a separate one for the excerpts that a model sees.
        report: Updated while examples are generated.
        model: The model that writes questions, and its work file (None: rules make them).

    Yields:
        One example for each document with a question that passes the filters.

    Raises:
        BadInputError: If `self_study` fails.
    """
    report = report or SyntheticReport()
    if model is None:
        drafts = _by_rules(documents, language, per_document, seed)
    else:
        self_study(
            documents, model.generate, model.work_file, language=language, settings=model.study
        )
        drafts = _from_work_file(model.work_file, seed)
    for document, questions in drafts:
        report.documents += 1
        kept = filter_questions(
            questions,
            document.text,
            language,
            title=document.title,
            rejects=report.rejects,
        )[:per_document]
        if not kept:
            continue
        report.questions += len(kept)
        details = {"maker": "model" if model else "rules", "seed": seed, "title": document.title}
        yield Example(document.text, tuple(kept), language, document.id, details)


def _by_rules(
    documents: Iterable[Document], language: Language, per_document: int, seed: int
) -> Iterator[tuple[Document, list[Question]]]:
    for document in documents:
        rng = random.Random(f"{seed}/{document.id}")
        yield (
            document,
            rule_questions(
                document.text,
                title=document.title,
                language=language,
                rng=rng,
                limit=per_document * _SURPLUS,
            ),
        )


def _from_work_file(work_file: Path, seed: int) -> Iterator[tuple[Document, list[Question]]]:
    """Join the consecutive records of each document and shuffle their questions."""
    for source, records in groupby(read_examples(work_file), key=lambda example: example.source):
        examples = list(records)
        title = str(examples[0].details.get("title", ""))
        questions = [question for example in examples for question in example.questions]
        random.Random(f"{seed}/{source}").shuffle(questions)
        yield Document(source, examples[0].document, title), questions
