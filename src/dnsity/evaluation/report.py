"""Reports on finished runs.

    OUT/report.md      provenance, a legend, and tables and plots for every task
    OUT/report.json    the same figures for programs
    OUT/*.png, *.svg   the plots

All scores and costs are taken from the summaries of the runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnsity.errors import BadInputError
from dnsity.evaluation import tables
from dnsity.evaluation.finished_runs import Entry, Run, entries, needle_grids, read, tasks
from dnsity.evaluation.row import Row
from dnsity.io.atomic import atomic_text, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT, DATA = "report.md", "report.json"


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    report: Path
    data: Path
    pictures: list[Path]


@dataclass(slots=True)
class _Album:
    """Writes plots to a directory and returns their Markdown."""

    directory: Path
    paths: list[Path] = field(default_factory=list)

    def add(self, name: str, alternative: str, figure: Figure) -> list[str]:
        """Write a plot and return the Markdown lines that show it."""
        from dnsity.evaluation import figures

        stem = re.sub(r"[^\w.-]+", "_", name)
        if self.directory / f"{stem}.png" in self.paths:  # another name with the same letters
            stem += f"_{len(self.paths)}"
        self.paths += figures.save(figure, self.directory / stem)
        return [f"![{alternative}]({stem}.png)", ""]


def write(directories: Sequence[Path], output: Path) -> Written:
    """Write a report on one or several finished runs.

    Args:
        directories: Directories of the runs.
        output: Directory for the report.

    Raises:
        BadInputError: If a run is missing, damaged or unfinished, if matplotlib is not installed,
            or if the files cannot be written.
    """
    runs = read(directories)
    if find_spec("matplotlib") is None:
        raise BadInputError(
            "a report needs matplotlib, which is not installed; pip install dnsity[eval]"
        )
    found = entries(runs)
    album = _Album(output)
    written = Written(output / REPORT, output / DATA, album.paths)
    try:
        output.mkdir(parents=True, exist_ok=True)
        text = "\n".join(_report(runs, found, album)).rstrip() + "\n"
        with atomic_text(written.report) as file:
            file.write(re.sub(r"\n{3,}", "\n\n", text))
        write_json(written.data, _data(runs, found))
    except OSError as error:
        raise BadInputError(
            f"cannot write the report to {output}: {error.strerror}; choose another --output-dir"
        ) from error
    return written


def _data(runs: Sequence[Run], found: Sequence[Entry]) -> dict[str, Any]:
    """Collect the data of the report: the summaries, and the grids of needle scores."""
    grids = [
        {"entry": entry.label, "task": task, "method": method, **asdict(grid)}
        for entry in found
        for task in tasks([entry])
        for method, grid in needle_grids(entry, task).items()
    ]
    return {"runs": [{"name": run.name, **run.summary} for run in runs], "needles": grids}


def _report(runs: Sequence[Run], found: Sequence[Entry], album: _Album) -> Iterator[str]:
    """Yield the lines of the report; consecutive empty lines count as one."""
    from dnsity.evaluation import plots

    several = len(found) > 1
    yield from ["# Evaluation report", "", "## What was run", "", *tables.overview(runs), ""]
    yield from ["## How to read it", "", tables.LEGEND, "", "Methods:", ""]
    methods = dict.fromkeys(row.method for entry in found for row in entry.rows)
    yield from [*tables.methods(methods), "", "## All tasks", ""]
    for entry in found:
        yield from [f"Scores of {entry.label}:", "", *tables.glance(entry.rows), ""]
    yield from album.add("quality", plots.RATIO.title, plots.quality(found))
    if several:
        spent = plots.quality(found, plots.SECONDS)
        yield from album.add("quality_by_time", plots.SECONDS.title, spent)
    numbered = {f"_{n}" if several else "": entry for n, entry in enumerate(found, start=1)}
    for number, entry in numbered.items():
        yield from album.add(f"costs{number}", f"Costs of {entry.label}", plots.costs(entry))
    for task in tasks(found):
        asked = [entry for entry in found if entry.of(task)]
        yield from [f"## {task}", "", _facts(asked[0].of(task)), ""]
        if several:
            yield from [*tables.comparison(asked, task), "", *_cautions(asked, task), ""]
        for number, entry in numbered.items():
            if entry not in asked:
                continue
            if several:
                yield from [f"### {task}, {entry.label}", ""]
            yield from _task(entry, task)
            if needle_grids(entry, task):
                shown = f"Score of {entry.label} on {task} by length and depth"
                plot = plots.needles(entry, task)
                yield from album.add(f"needles_{task}{number}", shown, plot)


def _task(entry: Entry, task: str) -> Iterator[str]:
    rows = entry.of(task)
    yield from ["Quality:", "", *tables.quality(rows), ""]
    yield from ["Size:", "", *tables.sizes(rows), "", "Time:", "", *tables.times(rows), ""]
    right = tables.digits(rows)
    if right:
        yield from ["Right digits by position:", "", *right, ""]
    for label, lines in tables.breakdowns(rows).items():
        yield from [f"Score by {label} (number of questions):", "", *lines, ""]
    notes = tables.notes(entry, task)
    if notes:
        yield from ["Notes:", "", *notes, ""]


def _facts(rows: Sequence[Row]) -> str:
    first = rows[0]
    return (
        f"Metric `{first.metric}`, version {first.version} of the task; {first.documents:,} "
        f"documents, {first.questions:,} questions."
    )


def _cautions(asked: Sequence[Entry], task: str) -> Iterator[str]:
    """Warn about compared scores that are of different questions."""
    if len({entry.of(task)[0].version for entry in asked}) > 1:
        yield "**Not comparable**: the runs have different versions of this task."
    documents = [
        {(one.item, one.characters, len(one.answers)) for one in entry.records if one.task == task}
        for entry in asked
    ]
    if any(own != documents[0] for own in documents):
        yield "**Compare with care**: the runs have different documents."
