"""`dnsity results`: published results and their provenance."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from dnsity.cli import bench
from dnsity.cli.console import out, say, show_json
from dnsity.cli.demo import HEADINGS
from dnsity.cli.options import Json
from dnsity.errors import BadInputError
from dnsity.io.provenance import git
from dnsity.io.units import GB

SHOWN = {
    "gist": "gist",
    "gist_wrong_document": "wrong gist",
    "full": "full",
    "rag": "RAG top-3",
    "rag_equal_kv": "RAG, equal KV",
    "none": "none",
}
"""Methods shown, with short headings; `dnsity report` and the files have all methods."""

Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of result files (default: the published results)."),
]


def command(folder: Folder = None, json: Json = False) -> None:
    """Print the published results.

    Each result names its commit, date, machine and settings.

    Example: dnsity results
    """
    found = read(folder or _published())
    if json:
        show_json(found)
        return
    for name, result in found.items():
        say(f"\n{name}.json", style="bold")
        say(provenance(result["manifest"]), style="dim")
        _show(result)


def read(folder: Path) -> dict[str, Any]:
    """Read the result files of a folder, by name.

    Raises:
        BadInputError: If there are none, or if a file is no result file.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = json_module.loads(path.read_text("utf-8"))
            provenance(result["manifest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{path} is no result file of dnsity ({error!r})") from error
        found[path.stem] = result
    if not found:
        raise BadInputError(
            f"no result files (*.json) in {folder}; name their folder with --folder"
        )
    return found


def provenance(manifest: dict[str, Any]) -> str:
    """Describe the commit, date, machine and settings of a result on one line."""
    commit, hardware = manifest["commit"], manifest["hardware"]
    here = str(Path(__file__).parent)  # older results have no date; git knows the commit's
    date = manifest.get("date") or git("-C", here, "show", "-s", "--format=%cs", commit)
    config = manifest["config"]
    settings = {key: value for key, value in config.items() if isinstance(value, (str, int, float))}
    return ", ".join(
        [
            f"commit {commit[:10] or 'unknown'}"
            + (" with uncommitted changes" if manifest["dirty"] else ""),
            *([date] if date else []),
            f"{hardware.get('device') or hardware['cpu'] or hardware['machine']}, "
            f"{hardware['cores']} cores",
            f"torch {manifest['versions']['torch']}",
            f"seed {manifest['seed']}",
            *(f"{key} {value}" for key, value in settings.items() if key != "seed"),
        ]
    )


def _published() -> Path:
    """Return the folder of results: next to the source, or inside the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parents[1] / "results"
    return checkout if checkout.is_dir() else package / "results"


def _show(result: dict[str, Any]) -> None:
    """Print the figures of a result, in the form for its kind."""
    if "ratios" in result:
        out.print(bench.ratios(result))
    elif "estimates" in result:
        for row in result["estimates"]:
            memory, hours = row["peak_bytes"] / GB, row["seconds"] / 3600
            say(f"{row['config']}: estimated, not run: {memory:.0f} GB, {hours:.0f} hours")
    elif "compared" in result:
        out.print(_compared(result["compared"]))
    elif "calibration" in result:
        for ratio in sorted({row["ratio"] for row in result["calibration"]}):
            say(_calibrated(ratio, [r for r in result["calibration"] if r["ratio"] == ratio]))
    elif "rows" in result:
        out.print(_scores(result["rows"]))
    elif "documents" in result:
        asked = [question for document in result["documents"] for question in document["questions"]]
        for method, heading in HEADINGS.items():
            right = sum(question["methods"][method]["right"] for question in asked)
            say(f"{heading}: {right} of {len(asked)} right")
    else:
        shares = _shares(result["result"]["probe"])
        say(f"{result['config']}: after {result['result']['step']} steps right from {shares}")


def _calibrated(ratio: float, rows: list[dict[str, Any]]) -> str:
    """Compare the score of the quality check with the score on hidden facts."""
    checked, facts = (
        (sum(row["check"]["both"] for row in rows), sum(row["check"]["full"] for row in rows)),
        (sum(row["facts_both"] for row in rows), sum(row["facts_full"] for row in rows)),
    )
    return (
        f"select at {ratio:g}x, of what full context answers: check questions {checked[0]} of "
        f"{checked[1]}, hidden facts {facts[0]} of {facts[1]}"
    )


def _shares(probe: dict[str, Any]) -> str:
    """Format the scores of a training run's probe."""
    return ", ".join(f"{HEADINGS[name]} {probe[name]:.0%}" for name in ("gist", "full", "none"))


def _compared(runs: list[dict[str, Any]]) -> Table:
    """Tabulate variants of a run (`experiments/compare.py`), one per row."""
    table = Table()
    for heading in ("changed", "seed", "right"):
        table.add_column(heading)
    order = [run["variant"] for run in runs]
    for run in sorted(runs, key=lambda run: order.index(run["variant"])):
        rows = run.get("rows")
        right = (
            _shares(run["probe"])
            if rows is None
            else "\n".join(
                f"{row['task']}, {row['method']}: {row['score']['value']:.0%} "
                f"({row['cost']['ingest_s']:.0f} s)"
                for row in rows
            )
        )
        table.add_row(run["change"], str(run["seed"]), right)
    return table


def _scores(rows: list[dict[str, Any]]) -> Table:
    """Tabulate scores, one column per method."""
    from dnsity.evaluation.methods import heading, ordered, variant

    tasks: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        tasks.setdefault((row["model"], row["task"]), {})[row["method"]] = row
    asked = ordered(row["method"] for row in rows)
    gists = "gist" in asked
    names = [*SHOWN] if gists else [n for n in asked if variant(n).method in {*SHOWN, "select"}]
    gap = "gap: share of the gain from no context to full context that the gist recovers"
    table = Table(caption=gap if gists else None)
    several = len({model for model, _ in tasks}) > 1
    for name in ("model", "task") if several else ("task",):
        table.add_column(name, no_wrap=True)
    for name in names:
        table.add_column(SHOWN.get(name) or heading(name), justify="right")
    if gists:
        table.add_column("gap", justify="right")
    for (model, task), by in tasks.items():
        cells = [model, task] if several else [task]
        cells += [f"{by[name]['score']['value']:.0%}" if name in by else "" for name in names]
        if gists:
            found = by["gist"]["gap_recovered"] if "gist" in by else None
            cells.append("" if found is None else f"{found['value']:.0%}")
        table.add_row(*cells)
    return table
