"""Finished runs as they are read back: typed rows, and one entry for each model of each run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import BaseModel

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.evaluation import record
from dnsity.evaluation.methods import METHODS, is_known
from dnsity.evaluation.record import Record
from dnsity.evaluation.row import Row
from dnsity.evaluation.runner import RECORDS, SUMMARY


class Configuration(BaseModel):
    """What of the configuration a reader must know."""

    dtype: str
    limit: int


class Manifest(BaseModel):
    """What was run, by which code, where."""

    commit: str
    dirty: bool
    resumed: list[dict[str, Any]] = []
    python: str
    versions: dict[str, str]
    hardware: dict[str, Any]
    seed: int
    config: Configuration


class _Summary(BaseModel):
    manifest: Manifest
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Attributes:
        name: Its directory's.
        summary: As it is in the file.
        manifest: What was run.
        rows: Scores and costs.
        records: What they were made of.
    """

    name: str
    summary: dict[str, Any]
    manifest: Manifest
    rows: list[Row]
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of one run: what tables of several have a column for.

    Attributes:
        label: What tells it from the others.
        model: As configured.
        rows: Its scores and costs.
        records: What they were made of.
    """

    label: str
    model: str
    rows: list[Row]
    records: list[Record]

    def of(self, task: str) -> list[Row]:
        """Return its rows of a task, in the order of tables."""
        return [row for row in self.rows if row.task == task]


@dataclass(frozen=True, slots=True)
class Grid:
    """Scores of one method by where the needle stood in documents of which length.

    Attributes:
        tokens: Lengths, one a column.
        depths: 0 (start) to 1 (end), one a row.
        scores: Means; None where there is no document.
    """

    tokens: list[int]
    depths: list[float]
    scores: list[list[float | None]]


def read(directories: Iterable[Path]) -> list[Run]:
    """Read finished runs.

    Raises:
        BadInputError: If one is missing, damaged or not finished.
    """
    paths = list({path.resolve(): path for path in directories}.values())
    names = [path.resolve().name for path in paths]
    return [
        _read(path, str(path) if names.count(name) > 1 else name)
        for path, name in zip(paths, names, strict=True)
    ]


def entries(runs: Sequence[Run]) -> list[Entry]:
    """Split runs by model, under labels that are as short as they can be."""
    found = []
    for run in runs:
        models = list(dict.fromkeys(row.model for row in run.rows))
        last_parts = [model.rstrip("/").rpartition("/")[2] for model in models]
        short = last_parts if len(set(last_parts)) == len(models) else models
        for model, name in zip(models, short, strict=True):
            if len(runs) == 1:
                label = name
            else:
                label = run.name if len(models) == 1 else f"{run.name}: {name}"
            rows = [row for row in run.rows if row.model == model]
            records = [one for one in run.records if one.model == model]
            found.append(Entry(label, model, rows, records))
    return found


def tasks(found: Iterable[Entry]) -> list[str]:
    """Return the names of all tasks, in the order they were run."""
    return list(dict.fromkeys(row.task for entry in found for row in entry.rows))


def needle_grids(entry: Entry, task: str) -> dict[str, Grid]:
    """Average scores by length and depth, per method; empty if the task hides no needles."""
    cells: dict[str, dict[tuple[float, int], list[float]]] = {}
    for one in entry.records:
        tokens, depth = one.labels.get("tokens"), one.labels.get("depth")
        if one.task == task and isinstance(tokens, int) and isinstance(depth, (int, float)):
            cells.setdefault(one.method, {}).setdefault((depth, tokens), []).extend(one.scores)
    depths = sorted({depth for cell in cells.values() for depth, _ in cell})
    lengths = sorted({tokens for cell in cells.values() for _, tokens in cell})
    methods = [row.method for row in entry.of(task) if row.method in cells]
    return {
        method: Grid(
            lengths,
            depths,
            [[_mean(cells[method].get((depth, n))) for n in lengths] for depth in depths],
        )
        for method in methods
    }


def _mean(scores: list[float] | None) -> float | None:
    return fmean(scores) if scores else None


def _read(directory: Path, name: str) -> Run:
    path = directory / SUMMARY
    if not directory.is_dir():
        raise BadInputError(f"no directory {directory}; give the --output-dir of a `dnsity eval`")
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BadInputError(
            f"{directory} has no {SUMMARY}: the run is not finished; start it again to go on"
        ) from error
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise _damaged(path, str(error)) from error
    if not isinstance(values, dict):
        raise _damaged(path, "no object")
    try:
        summary = validated(_Summary, values, str(path))
    except BadInputError as error:
        raise BadInputError(f"{error}; start the run again to have it written anew") from error
    if not summary.rows:
        raise _damaged(path, "no rows")
    unknown = [row.method for row in summary.rows if not is_known(row.method)]
    if unknown:
        raise BadInputError(
            f"{path} has method {unknown[0]!r}, known here are {', '.join(METHODS)}; report on it "
            "with the version of dnsity that ran it"
        )
    records = record.read(directory / RECORDS)
    summed_up = sum(row.documents for row in summary.rows)
    if len(records) != summed_up:
        raise _damaged(path, f"of {summed_up} records, but {RECORDS} has {len(records)}")
    return Run(name, values, summary.manifest, summary.rows, records)


def _damaged(path: Path, why: str) -> BadInputError:
    return BadInputError(f"{path} is damaged ({why}); start the run again to have it written anew")
