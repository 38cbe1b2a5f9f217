"""Run methods on examples: manifest, a record per answer, a summary."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnsity.data.example import Example
from dnsity.evaluation.method import Method
from dnsity.evaluation.metrics import exact


@dataclass(frozen=True, slots=True)
class Record:
    """One answer of one method."""

    task: str
    method: str
    item: int
    tokens: int
    question: str
    answer: str
    gold: str
    right: bool
    kv_bytes: int
    ingest_s: float
    ttft_s: float


def run(
    task: str,
    method: Method,
    examples: Sequence[Example],
    count_tokens: Callable[[str], int],
    progress: Callable[[int, int], None] | None = None,
) -> list[Record]:
    """Ask one method every question of every example."""
    records = []
    for item, example in enumerate(examples):
        ingested = method.ingest(example.document)
        answers = method.answer(ingested, [question.text for question in example.questions])
        tokens = count_tokens(example.document)
        for question, answer in zip(example.questions, answers, strict=True):
            records.append(
                Record(
                    task=task,
                    method=method.name,
                    item=item,
                    tokens=tokens,
                    question=question.text,
                    answer=answer.text,
                    gold=question.answer,
                    right=exact(answer.text, question.answer),
                    kv_bytes=ingested.kv_bytes,
                    ingest_s=ingested.seconds,
                    ttft_s=answer.ttft_s,
                )
            )
        if progress is not None:
            progress(item + 1, len(examples))
    return records


def summarise(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Score every task x method: share right with a 95% bootstrap interval, and median costs."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.method), []).append(record)
    rows = []
    for (task, method), group in groups.items():
        right = [record.right for record in group]
        low, high = bootstrap(right)
        rows.append(
            {
                "task": task,
                "method": method,
                "questions": len(group),
                "score": statistics.fmean(right),
                "low": low,
                "high": high,
                "median_ttft_s": statistics.median(record.ttft_s for record in group),
                "median_ingest_s": statistics.median(record.ingest_s for record in group),
                "median_kv_bytes": statistics.median(record.kv_bytes for record in group),
            }
        )
    return rows


def bootstrap(values: Sequence[bool | float], rounds: int = 1000) -> tuple[float, float]:
    """Return the 95% interval of the mean by resampling (seeded)."""
    rng = random.Random(0)
    means = sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(rounds))
    return means[int(0.025 * rounds)], means[int(0.975 * rounds)]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON line per record."""
    lines = (json.dumps(asdict(record), ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
