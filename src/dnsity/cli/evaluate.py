"""`dnsity eval`: methods on the needle tasks, with a record per answer."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field
from rich.table import Table

from dnsity.cli.console import human_bytes, make_directory, out, progress_bar, show_json
from dnsity.cli.options import ConfigFile, Device, Json, Overrides, load_model
from dnsity.config import Config, load, manifest, write_json
from dnsity.data.example import Language


class EvalConfig(Config):
    """One evaluation run.

    Attributes:
        model: The gist model.
        tasks: What to ask for, see `evaluation.tasks.niah`.
        haystack: Held-out prose per language, as `data.corpus.read_documents` takes it.
        tokens: Document lengths.
        samples: Documents per language.
        methods: What to compare.
        seed: Seed of the documents.
    """

    model: str = "mini"
    tasks: list[Literal["niah", "fact", "facts"]] = Field(default=["niah"], min_length=1)
    haystack: dict[Language, str]
    tokens: list[int] = Field(default=[512, 1024, 1536, 2048], min_length=1)
    samples: int = Field(default=100, ge=1)
    methods: list[str] = Field(default=["gist", "gist_wrong_document"], min_length=1)
    seed: int = 0


def command(
    config: ConfigFile,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", help="Where records and summary go.")
    ] = Path("runs/eval"),
    overrides: Overrides = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Measure methods on passkeys and facts hidden in held-out prose."""
    settings = load(config, EvalConfig, overrides or [])
    from dnsity.evaluation import methods, runner
    from dnsity.evaluation.tasks import niah

    make_directory(output_dir)
    described = manifest(settings, settings.seed)
    write_json(output_dir / "manifest.json", described)
    loaded = load_model(settings.model, device).loaded
    records: list[runner.Record] = []
    for task, (language, haystack) in itertools.product(settings.tasks, settings.haystack.items()):
        examples = niah.examples(
            task,
            haystack,
            language,
            loaded.encoder,
            tokens=settings.tokens,
            samples=settings.samples,
            seed=settings.seed,
        )
        for name in settings.methods:
            method = methods.build(name, loaded)
            with progress_bar(f"{task}_{language} {name}") as progress:
                records += runner.run(
                    f"{task}_{language}",
                    method,
                    examples,
                    lambda text: len(loaded.encoder.encode(text)),
                    progress,
                )
    runner.write_records(output_dir / "records.jsonl", records)
    rows = runner.summarise(records)
    summary = {"manifest": described, "model_fingerprints": loaded.fingerprints, "rows": rows}
    write_json(output_dir / "summary.json", summary)
    if json:
        show_json(summary)
        return
    table = Table("task", "method", "right", "95%", "TTFT", "KV kept")
    for row in rows:
        table.add_row(
            row["task"],
            row["method"],
            f"{row['score']:.1%}",
            f"{row['low']:.0%}-{row['high']:.0%}",
            f"{1000 * row['median_ttft_s']:.0f} ms",
            human_bytes(row["median_kv_bytes"]),
        )
    out.print(table)
