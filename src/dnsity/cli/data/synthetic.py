"""`dnsity data synthetic`: make questions and answers from documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import progress_bar, say
from dnsity.cli.data.options import (
    LanguageOption,
    Output,
    Seed,
    counted,
    done,
    language_of,
)
from dnsity.cli.options import MOST, Json
from dnsity.cli.overwriting import require_other_file
from dnsity.errors import BadInputError

if TYPE_CHECKING:
    from dnsity.data.generators.synthetic_qa import ModelSource


def command(
    documents: Annotated[
        str, typer.Argument(help="Text or JSONL file, a folder of them, or hf:NAME:SPLIT.")
    ],
    output: Output,
    language: LanguageOption = "en",
    model: Annotated[
        str | None,
        typer.Option(
            help="Causal LM that writes the questions (directory or hub id; default: rules)."
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible server that runs --model, such as http://localhost:8000/v1; "
            "the key is read from OPENAI_API_KEY."
        ),
    ] = None,
    per_document: Annotated[
        int, typer.Option(min=1, max=MOST, help="Maximum questions per document.")
    ] = 8,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="Maximum number of documents (default: all)."),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make questions and answers from documents.

    Rules or a model write the questions. Every answer occurs in its document. A stopped run with
    a model resumes. Rejected questions are counted by reason.

    Example: dnsity data synthetic notices/ --language ko -o questions.jsonl
    """
    from itertools import islice

    from dnsity.data.generators.synthetic_qa import SyntheticReport, make
    from dnsity.data.readers.corpus import read_documents
    from dnsity.io.jsonl import write_records

    require_other_file(output, documents)
    report = SyntheticReport()
    writer = _writer(model, endpoint, output)
    examples = make(
        islice(read_documents(documents), limit),
        language=language_of(language),
        per_document=per_document,
        seed=seed,
        report=report,
        model=writer,
    )
    with progress_bar("documents") as progress:
        records = (example.to_record() for example in examples)
        write_records(output, counted(records, progress, limit))
    done(json, output, {"documents": report.documents, "questions": report.questions})
    if not json:
        for reason, count in sorted(report.rejects.items()):
            say(f"  {count:,} rejected: {reason}")


def _writer(model: str | None, endpoint: str | None, output: Path) -> ModelSource | None:
    """Return the model that writes the questions; None for rules."""
    if model is None:
        if endpoint is not None:
            raise BadInputError("--endpoint needs --model, the name of the model on that server")
        return None
    from dnsity.data.generators.self_study.models import Endpoint, endpoint_generator, hf_generator
    from dnsity.data.generators.self_study.study import SelfStudySettings
    from dnsity.data.generators.synthetic_qa import ModelSource

    generate = endpoint_generator(Endpoint(endpoint, model)) if endpoint else hf_generator(model)
    work_file = output.with_name(f"{output.stem}.asked.jsonl")
    return ModelSource(generate, work_file, SelfStudySettings(label=model))
