"""`dnsity data exams`: convert multiple-choice questions to example records."""

from __future__ import annotations

from typing import Annotated

import typer

from dnsity.cli.data.options import Output, done
from dnsity.cli.options import Json


def command(
    output: Output,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Questions: open_book (the bundled set), click:FILE, kmmlu:FILE, or a JSON, JSONL "
            "or CSV file with the fields question, choices, answer and optionally document.",
        ),
    ] = "open_book",
    json: Json = False,
) -> None:
    """Check and convert multiple-choice questions.

    Questions may refer to a document or be closed-book.

    Example: dnsity data exams --from my_questions.csv -o exam.jsonl
    """
    from dnsity.data.readers.exams import load
    from dnsity.io.jsonl import write_records

    examples = list(load(source))
    write_records(output, (example.to_record() for example in examples))
    questions = sum(len(example.questions) for example in examples)
    done(json, output, {"documents": len(examples), "questions": questions})
