"""`dnsity demo`: answers from gists next to those of full context and retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field
from rich.table import Column, Table
from rich.text import Text

from dnsity.cli.console import err, out, progress_bar, show_json, warn
from dnsity.cli.options import Device, Json, Model, load_model
from dnsity.config import Config, load
from dnsity.errors import BadInputError
from dnsity.io.provenance import manifest
from dnsity.io.text import read_text
from dnsity.io.units import data_size

if TYPE_CHECKING:
    from dnsity.evaluation.method import Method
    from dnsity.inference.loaded import LoadedModel

METHODS = ("gist", "full", "rag", "none")
"""Methods that a gist model is compared by."""
HEADINGS = {"gist": "gist", "full": "full context", "rag": "RAG top-3", "none": "no context"}
_SHOWN = 60
"""Characters of an answer in the table."""
_SLOTS, _RATIO = 80, 10
"""For a base model: slots to refine, and compression ratio of `select`."""


class DemoQuestion(Config):
    """A question and the answer that counts as right."""

    question: str
    answer: str


class DemoDocument(Config):
    """A text file next to `questions.yaml`, and the questions about it."""

    document: str
    questions: list[DemoQuestion] = Field(min_length=1)


class Demo(Config):
    """The content of `questions.yaml`."""

    documents: list[DemoDocument] = Field(min_length=1)


def command(
    folder: Annotated[
        Path | None, typer.Option(help="Folder with questions.yaml (default: the bundled one).")
    ] = None,
    model: Model = "mini",
    minutes: Annotated[
        float,
        typer.Option(
            help="Minutes to refine each document; for a base model without trained gists."
        ),
    ] = 3.0,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Compress documents and answer questions.

    A gist model answers from its gists, a base model from refined and selected slots. Full context,
    retrieval and no context answer the same questions for comparison.

    Example: dnsity demo
    """
    from dnsity.evaluation.methods import heading
    from dnsity.inference.methods import build_compressor

    build_compressor("refine", {"minutes": minutes})  # refuse a number out of range at once
    loaded = load_model(model, device).loaded
    bundled = "demo_documents" if loaded.trained else "demo_base"
    source = folder or Path(str(resources.files("dnsity.cli") / bundled))
    demo = load(source / "questions.yaml", Demo)
    names: tuple[str, ...] = METHODS
    if not loaded.trained:
        refined, selected = f"refine:minutes={minutes:g},gists={_SLOTS}", f"select:ratio={_RATIO}"
        names = (refined, selected, *METHODS[1:])
        err.print(
            f"refining takes {minutes:g} minutes for each of {len(demo.documents)} documents, "
            "the rest a minute",
            highlight=False,
        )
    _warm_up(loaded, names)
    reports = []
    for document in demo.documents:
        report = _run(loaded, read_text(str(source / document.document)), document, names)
        reports.append(report)
        names = tuple(report["prepare_s"])
        if not json:
            _show(report, names)
    if json:
        show_json({"manifest": manifest(demo, seed=0), "documents": reports})
        return
    right = {
        m: sum(q["methods"][m]["right"] for r in reports for q in r["questions"]) for m in names
    }
    total = sum(len(report["questions"]) for report in reports)
    out.print("right: " + ", ".join(f"{heading(m)} {right[m]}/{total}" for m in names))
    out.print(f"documents and questions: {source}", highlight=False, soft_wrap=True)


def _warm_up(loaded: LoadedModel, names: Sequence[str]) -> None:
    """Run each method once, so that no measured time includes first-call costs."""
    from dnsity.evaluation.methods import build

    for name in names:
        if name.startswith("refine"):
            continue
        method = build(name, loaded)
        method.answer(method.ingest("One sentence of a document. " * 40), ["What?"])


def _run(
    loaded: LoadedModel, text: str, document: DemoDocument, names: Sequence[str]
) -> dict[str, Any]:
    """Answer every question with every method, one at a time."""
    from dnsity.evaluation.methods import build
    from dnsity.evaluation.metrics import contains, exact

    right = exact if loaded.trained else contains  # a base answers in sentences
    methods: list[Method] = []
    ingested = []
    with progress_bar(f"compressing {document.document}") as progress:
        for number, name in enumerate(names):
            method = build(name, loaded)
            try:
                ingested.append(method.ingest(text))
            except BadInputError as error:
                if not name.startswith("refine"):  # only its result depends on the machine's load
                    raise
                warn(f"{method.heading} is left out: {error}")
                continue
            methods.append(method)
            progress(number + 1, len(names))
    gist = ingested[0].handle
    questions = []
    for item in document.questions:
        answers = {}
        for method, held in zip(methods, ingested, strict=True):
            answer = method.answer(held, [item.question])[0]
            answers[method.label] = {
                "answer": answer.text.strip(),
                "right": right(answer.text, item.answer),
                "ttft_s": answer.ttft_s,
            }
        questions.append({"question": item.question, "gold": item.answer, "methods": answers})
    return {
        "document": document.document,
        "context_tokens": gist.info.n_context,
        "gist_tokens": gist.info.n_gist,
        "compression_ratio": gist.compression_ratio,
        "full_kv_bytes": gist.info.full_kv_bytes,
        "gist_kv_bytes": gist.kv_bytes,
        "compress_s": ingested[0].seconds,
        "prepare_s": {
            method.label: held.seconds for method, held in zip(methods, ingested, strict=True)
        },
        "questions": questions,
    }


def _show(report: dict[str, Any], methods: Sequence[str] = METHODS) -> None:
    from dnsity.evaluation.methods import heading

    out.print(
        f"\n[bold]{report['document']}[/bold]: {report['context_tokens']:,} tokens -> "
        f"{report['gist_tokens']} gists ({report['compression_ratio']:.0f}x), KV cache "
        f"{data_size(report['full_kv_bytes'])} -> {data_size(report['gist_kv_bytes'])}, "
        f"compressed in {report['compress_s']:.2f} s",
        highlight=False,
        soft_wrap=True,
    )
    names = ("question", *(heading(name) for name in methods))
    # By default rich cuts Korean words that are wider than their column.
    table = Table(*(Column(name, overflow="fold") for name in names), show_lines=True)
    for row in report["questions"]:
        cells = [Text(row["question"])]
        for name in methods:
            answer = row["methods"][name]
            mark = Text("right " if answer["right"] else "wrong ")
            mark.stylize("green" if answer["right"] else "red")
            shown = answer["answer"].replace("\n", " ")[:_SHOWN] or "(nothing)"
            cells.append(mark + Text(f"{shown}\n{1000 * answer['ttft_s']:.0f} ms"))
        table.add_row(*cells)
    out.print(table)
