"""Finished runs, loaded from disk: typed rows, and one entry per model of each run."""

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
    """The settings of a run that a report shows."""

    dtype: str
    limit: int


class Manifest(BaseModel):
    """The commit, versions, hardware and configuration of a run."""

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
        name: Name of its directory.
        summary: The content of its summary file.
        manifest: Provenance of the run.
        rows: Scores and costs.
        records: Records that the rows were computed from.
    """

    name: str
    summary: dict[str, Any]
    manifest: Manifest
    rows: list[Row]
    records: list[Record]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of one run, which is one column in a comparison of several.

    Attributes:
        label: Name that is unique in the report.
        model: Name of the model in the configuration.
        rows: Scores and costs of the model.
        records: Records that the rows were computed from.
    """

    label: str
    model: str
    rows: list[Row]
    records: list[Record]

    def of(self, task: str) -> list[Row]:
        """Return the rows of a task, in the order of the tables."""
        return [row for row in self.rows if row.task == task]


@dataclass(frozen=True, slots=True)
class Grid:
    """Scores of one method by document length and needle depth.

    Attributes:
        tokens: Document lengths, one per column.
        depths: Needle depths from 0 (start) to 1 (end), one per row.
        scores: Mean scores; None for a cell without documents.
    """

    tokens: list[int]
    depths: list[float]
    scores: list[list[float | None]]


def read(directories: Iterable[Path]) -> list[Run]:
    """Load finished runs.

    Raises:
        BadInputError: If a run is missing, damaged or unfinished.
    """
    paths = list({path.resolve(): path for path in directories}.values())
    names = [path.resolve().name for path in paths]
    return [
        _read(path, str(path) if names.count(name) > 1 else name)
        for path, name in zip(paths, names, strict=True)
    ]


def entries(runs: Sequence[Run]) -> list[Entry]:
    """Split runs by model, with the shortest labels that are unique."""
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
    """Return the names of all tasks, in the order of the run."""
    return list(dict.fromkeys(row.task for entry in found for row in entry.rows))


def needle_grids(entry: Entry, task: str) -> dict[str, Grid]:
    """Average scores by length and depth, per method; empty for a task without needles."""
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
            f"{directory} has no {SUMMARY}: the run is not finished; run it again to resume"
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
        raise BadInputError(f"{error}; run it again to rewrite the file") from error
    if not summary.rows:
        raise _damaged(path, "no rows")
    unknown = [row.method for row in summary.rows if not is_known(row.method)]
    if unknown:
        raise BadInputError(
            f"{path} has method {unknown[0]!r}, known are {', '.join(METHODS)}; report on it with "
            "the version of dnsity that ran it"
        )
    records = record.read(directory / RECORDS)
    summed_up = sum(row.documents for row in summary.rows)
    if len(records) != summed_up:
        raise _damaged(path, f"of {summed_up} records, but {RECORDS} has {len(records)}")
    return Run(name, values, summary.manifest, summary.rows, records)


def _damaged(path: Path, why: str) -> BadInputError:
    return BadInputError(f"{path} is damaged ({why}); run it again to rewrite the file")
