"""Scores of real bases without gists, and a comparison of their prompt formats."""

from __future__ import annotations

from typing import Any

from result_words import Words, provenance

from dnsity.evaluation.markdown import table
from dnsity.evaluation.methods import heading, ordered
from dnsity.evaluation.row import Row
from dnsity.io.units import percent

CANNOT = 0.2
"""Below this score of full context a task does not compare methods."""


def bases(
    words: Words, summaries: list[dict[str, Any]], frames: dict[str, Any] | None = None
) -> str:
    """Write a table per base, the tasks it fails with the whole document, and scores by frame.

    Args:
        words: The language.
        summaries: Summaries of finished evaluations, in order.
        frames: The summary of the evaluation of bases in several prompt formats.
    """
    parts = []
    for summary in summaries:
        rows = [Row.model_validate(row) for row in summary["rows"]]
        for model in dict.fromkeys(row.model for row in rows):
            own = [row for row in rows if row.model == model]
            parts += [*_base(words, model, own, provenance(summary)), ""]
    if frames is not None:
        parts += _frames(words, frames)
    return "\n".join(parts).strip()


def _base(words: Words, model: str, rows: list[Row], where: dict[str, Any]) -> list[str]:
    by_task = _by_task(rows)
    documents = sum(max(row.documents for row in own.values()) for own in by_task.values())
    names = ordered(row.method for row in rows)
    lines = []
    for task, own in by_task.items():
        first = next(iter(own.values()))
        scores = (_score(words, own.get(name)) for name in names)
        lines.append([task, str(first.documents), str(first.questions), first.metric, *scores])
    told = words.say("base", model=model, documents=documents, tasks=len(by_task), **where)
    header = ["task", "documents", "questions", "metric", *map(heading, names)]
    found = [told, "", *table([*map(words.cell, header)], lines)]
    beyond = [
        f"`{task}`"
        for task, own in by_task.items()
        if "full" in own and own["full"].score.value < CANNOT
    ]
    if beyond:
        found += ["", words.say("cannot", most=CANNOT, tasks=", ".join(beyond))]
    return found


def _frames(words: Words, summary: dict[str, Any]) -> list[str]:
    """Compare prompt formats: full context, and no context in brackets."""
    rows = [Row.model_validate(row) for row in summary["rows"]]
    models = list(dict.fromkeys(row.model for row in rows))
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        own = {(row.model, row.method): row for row in rows if row.task == task}
        first = next(iter(own.values()))
        cells = []
        for model in models:
            full, none = (_score(words, own.get((model, name))) for name in ("full", "none"))
            cells.append(f"{full} ({none})")
        lines.append([task, str(first.documents), str(first.questions), *cells])
    told = words.say("frames", **provenance(summary))
    header = [*map(words.cell, ("task", "documents", "questions")), *models]
    return [told, "", *table(header, lines)]


def _by_task(rows: list[Row]) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row.task, {})[row.method] = row
    return found


def _score(words: Words, row: Row | None) -> str:
    """Write a score, with the number of documents that failed (they count as wrong)."""
    if row is None:
        return "-"
    score = percent(row.score.value, 0)
    return words.say("failed", score=score, failed=row.failed) if row.failed else score
