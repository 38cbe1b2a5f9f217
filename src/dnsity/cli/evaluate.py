"""`dnsity eval`: run every model and method on every task."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import resources
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table

from dnsity.cli.console import err, fail, make_directory, out, progress_bar, show_json
from dnsity.cli.options import MOST_JOBS, Device, Json, Overrides
from dnsity.config import load
from dnsity.io.units import data_size

if TYPE_CHECKING:
    from dnsity.evaluation.settings import EvalConfig

EvalConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML configuration file (default: tasks that need no data)."),
]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--task", help="Tasks to run, by name or beginning of a name: a,b (default: all)."
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="Methods with settings, for example full,rag,select:ratio=2,none (default: as "
        "configured).",
    ),
]
Models = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Gist models: mini,DIRECTORY (default: as configured, or mini)."
    ),
]
Bases = Annotated[
    list[str] | None,
    typer.Option(
        "--base",
        help="Base models without trained gists: DIRECTORY,... (repeatable). Gist models then run "
        "only if --model names them.",
    ),
]
Frames = Annotated[
    str | None,
    typer.Option("--frame", help="Prompt formats of base models: auto,chat,plain (default: auto)."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", help="Maximum number of documents per task (default: as configured)."),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        min=1,
        max=MOST_JOBS,
        help="Number of processes; each one is timed on its share of the cores.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Random seed of the tasks (default: as configured).")
]
RunDir = Annotated[
    Path,
    typer.Option(
        "--output-dir", help="Directory for the records; an unfinished run there is resumed."
    ),
]


def command(
    config: EvalConfigFile = None,
    task: Tasks = None,
    method: Methods = None,
    model: Models = None,
    base: Bases = None,
    frame: Frames = None,
    limit: Limit = None,
    seed: Seed = None,
    output_dir: RunDir = Path("runs/eval"),
    overrides: Overrides = None,
    jobs: Jobs = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Compare methods on tasks.

    Tasks are needles, questions about documents, exams, LongBench and your own files.

    Example: dnsity eval --task niah_en --method gist,full,none --limit 10
    """
    from dnsity.evaluation.settings import EvalConfig

    bases = ",".join(base) if base else None
    models = "" if bases is not None and model is None else model
    listed = {"only": task, "methods": method, "models": models, "bases": bases, "frames": frame}
    asked = [f"{key}={_list(value)}" for key, value in listed.items() if value is not None]
    asked += [f"{k}={v}" for k, v in {"limit": limit, "seed": seed}.items() if v is not None]
    path = config or Path(str(resources.files("dnsity.cli") / "eval_default.yaml"))
    evaluate(load(path, EvalConfig, [*asked, *(overrides or [])]), output_dir, device, jobs, json)


def _list(text: str) -> str:
    """Format `a,b` as a YAML list; names may contain any character."""
    names = [name.strip() for name in text.split(",")]
    return dumps([name for name in names if name], ensure_ascii=False)


def evaluate(settings: EvalConfig, output_dir: Path, device: str, jobs: int, json: bool) -> None:
    """Run an evaluation with a progress bar, and print its summary."""
    from dnsity.cli.options import quiet_loading
    from dnsity.evaluation.runner import run
    from dnsity.inference.hardware import require_device

    make_directory(output_dir)
    quiet_loading()
    require_device(device)
    with progress_bar("loading") as bar:
        announced = False

        def progress(what: str, done: int, total: int) -> None:
            nonlocal announced
            if not announced:
                err.print(
                    f"{total:,} documents times methods; if stopped, run it again to resume",
                    highlight=False,
                    soft_wrap=True,
                )
                announced = True
            bar(done, total, what)

        summary = run(settings, output_dir, device=device, jobs=jobs, progress=progress)
    if json:
        show_json(summary)
        return
    for name in dict.fromkeys(row["model"] for row in summary["rows"]):
        rows = [row for row in summary["rows"] if row["model"] == name]
        out.print(_table(name, rows))
    out.print(f"records and summary: {output_dir}", highlight=False, soft_wrap=True)


def script(
    parser: ArgumentParser,
    settings: Callable[[Namespace], EvalConfig],
    *,
    methods: list[str],
    output_dir: Path,
) -> NoReturn:
    """Run an evaluation as a separate program, with the options that such programs share.

    Args:
        parser: Parser with the program's own options.
        settings: Builds the configuration from the parsed options.
        methods: Default of `--method`.
        output_dir: Default of `--output-dir`.
    """
    parser.add_argument("--method", nargs="+", default=methods)
    parser.add_argument("--output-dir", type=Path, default=output_dir)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = parser.parse_args()
    try:
        evaluate(settings(given), given.output_dir, given.device, given.jobs, given.json)
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(fail(error))
    sys.exit(0)


def _table(model: str, rows: list[dict[str, Any]]) -> Table:
    from dnsity.evaluation.methods import heading

    table = Table(title=model, caption="gap: share of the gain from no context to full context")
    for name in ("task", "answered from"):
        table.add_column(name, overflow="fold")
    for name in ("score", "95%", "gap", "KV", "TTFT"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = ""
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cost, gap = row["cost"], row["gap_recovered"]
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        table.add_row(
            "" if row["task"] == shown else row["task"],
            heading(row["method"]) + failed,
            f"{row['score']['value']:.1%}",
            f"{row['score']['low']:.0%}-{row['score']['high']:.0%}",
            "" if gap is None else f"{gap['value']:.0%}",
            "" if cost is None else data_size(cost["kv_bytes"]),
            "" if cost is None else f"{1000 * cost['warm_ttft_s']['median']:.0f} ms",
        )
        shown = row["task"]
        last = following is None or following["task"] != row["task"]
        if last and row["random_guess"] is not None:
            table.add_row("", "random guess", f"{row['random_guess']:.1%}")
        if last:
            table.add_section()
    return table
