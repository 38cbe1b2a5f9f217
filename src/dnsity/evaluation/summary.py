"""Summaries of records: scores and costs, one row per model, task and method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

import numpy as np

from dnsity.evaluation import bootstrap
from dnsity.evaluation.bootstrap import compare, gap_recovered, mean, share_of_full
from dnsity.evaluation.methods import ordered
from dnsity.evaluation.metrics import digit_accuracy
from dnsity.evaluation.record import Record
from dnsity.evaluation.row import Comparison, Cost, Interval, Row, Share, Spread
from dnsity.io.units import GB

_MOST_VALUES = 12
"""Labels with more values get no breakdown."""
_MOST_ERRORS = 3


def summarise(records: Sequence[Record], random_guess: Mapping[str, float | None]) -> list[Row]:
    """Compute the rows of `summary.json`.

    Args:
        records: All records of a run.
        random_guess: Expected score of guessing, by task; None unless it is multiple choice.
    """
    groups: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for record in records:
        methods = groups.setdefault((record.model, record.task), {})
        methods.setdefault(record.method, []).append(record)
    rows = []
    for (_, task), methods in groups.items():
        for method in ordered(methods):
            rows.append(_row(methods, method, random_guess.get(task)))
    return rows


def _row(methods: Mapping[str, list[Record]], method: str, random_guess: float | None) -> Row:
    own = methods[method]
    scores = _scores(own)
    floor, ceiling, gist = (_aligned(own, methods.get(name)) for name in ("none", "full", "gist"))
    gap = gap_recovered(scores, floor, ceiling) if floor and ceiling else None
    share = share_of_full(scores, ceiling) if ceiling else None
    against = compare(gist, scores) if gist and method != "gist" else None
    answers = [answer for record in own for answer in record.answers]
    first = own[0]
    return Row(
        model=first.model,
        task=first.task,
        version=first.version,
        metric=first.metric,
        method=method,
        documents=len(own),
        questions=len(answers),
        failed=sum(bool(record.error) for record in own),
        errors=sorted({record.error for record in own if record.error})[:_MOST_ERRORS],
        noted=sum(bool(record.note) for record in own),
        score=_interval(mean(scores)),
        random_guess=random_guess,
        gap_recovered=gap and _interval(gap),
        share_of_full=share and _interval(share),
        gist_minus_this=against and Comparison(**against._asdict()),
        digits=digit_accuracy([a.answer for a in answers], [a.gold for a in answers]),
        by=_breakdowns(own),
        cost=_cost(own, methods.get("full")),
    )


def _scores(records: Iterable[Record]) -> list[list[float]]:
    return [record.scores for record in records]


def _aligned(own: Sequence[Record], other: Sequence[Record] | None) -> list[list[float]] | None:
    """Return the scores of another method on the same documents, in the same order."""
    by_item = {record.item: record.scores for record in other or ()}
    if not all(record.item in by_item for record in own):
        return None
    return [by_item[record.item] for record in own]


def _interval(found: bootstrap.Interval) -> Interval:
    return Interval(**found._asdict())


def _breakdowns(records: Sequence[Record]) -> dict[str, dict[str, Share]]:
    """Average scores by every label, and by kind of question."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        for label, value in record.labels.items():
            found.setdefault(label, {}).setdefault(str(value), []).extend(record.scores)
        for answer in record.answers:
            found.setdefault("kind", {}).setdefault(answer.kind, []).append(answer.score)
    return {
        label: {
            value: Share(score=fmean(scores), questions=len(scores))
            for value, scores in values.items()
        }
        for label, values in found.items()
        if 1 < len(values) <= _MOST_VALUES
    }


def _cost(records: Sequence[Record], full: Sequence[Record] | None) -> Cost | None:
    """Summarise the costs of a method; None if it answered nothing."""
    done = [record for record in records if not record.error]
    if not done:
        return None
    answers = [answer for record in done for answer in record.answers]
    ingest = median(record.ingest_s for record in done)
    slots = median(answer.slots for answer in answers)
    kv_bytes = median(answer.kv_bytes for answer in answers)
    tokens = median(record.context_tokens for record in done)
    decoding = [
        (a.new_tokens - 1) / (a.seconds - a.ttft_s)
        for a in answers
        if a.new_tokens > 1 and a.seconds > a.ttft_s
    ]
    return Cost(
        context_tokens=tokens,
        slots=slots,
        compression_ratio=tokens / slots if slots else None,
        characters_per_slot=median(r.characters for r in done) / slots if slots else None,
        kv_bytes=kv_bytes,
        documents_per_gb=GB / kv_bytes if kv_bytes else None,
        ingest_s=ingest,
        cold_ttft_s=_spread([r.ingest_s + r.answers[0].ttft_s for r in done]),
        warm_ttft_s=_spread([answer.ttft_s for answer in answers]),
        tokens_per_second=median(decoding) if decoding else None,
        peak_bytes=median(record.peak_bytes for record in done),
        break_even_questions=_break_even(ingest, median(a.seconds for a in answers), full),
    )


def _spread(seconds: Sequence[float]) -> Spread:
    p10, middle, p90 = (float(x) for x in np.percentile(seconds, [10, 50, 90]))
    return Spread(median=middle, p10=p10, p90=p90)


def break_even(once: float, each: float, instead: float) -> int | None:
    """Return the number of questions for which ingesting a document once pays off.

    Args:
        once: Seconds to ingest the document.
        each: Seconds per question afterwards.
        instead: Seconds per question without ingesting.

    Returns:
        The smallest number of questions with a lower total time; None if there is none.
    """
    if instead <= each:
        return None
    return max(1, math.floor(once / (instead - each)) + 1)


def _break_even(ingest: float, seconds: float, full: Sequence[Record] | None) -> int | None:
    """Return the break-even against full context; None without full context to compare with."""
    read = [record for record in full or () if not record.error]
    if not read:
        return None
    theirs = median(answer.seconds for record in read for answer in record.answers)
    return break_even(ingest - median(record.ingest_s for record in read), seconds, theirs)
