"""Made-up evaluations: records, and run directories as `dnsity eval` leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnsity.evaluation.record import Answered, Record
from dnsity.evaluation.summary import summarise
from dnsity.io.atomic import write_json
from dnsity.io.jsonl import write_records

MANIFEST: dict[str, Any] = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "python": "3.11.7",
    "versions": {"dnsity": "0.1.0", "torch": "2.13.0"},
    "hardware": {"machine": "x86_64", "cpu": "Example CPU", "cores": 2},
    "seed": 0,
    "config": {"dtype": "float32", "limit": 20},
    "models": {"mini": {}},
}


def answered(
    score: float, *, slots: int = 25, kind: str = "passkey", ttft_s: float = 0.02
) -> Answered:
    """Return an answer of five digits; the score is the share of right ones."""
    right = round(5 * score)
    return Answered(
        kind=kind,
        question="What is the passkey?",
        answer="12345"[:right] + "0" * (5 - right),
        gold="12345",
        score=score,
        ttft_s=ttft_s,
        seconds=ttft_s + 0.05,
        new_tokens=6,
        slots=slots,
        kv_bytes=slots * 3072,
    )


def record(method: str, *answers: Answered, **fields: Any) -> Record:
    """Return the record of a document and method; without answers it has one empty answer."""
    if not answers:
        answers = (Answered("passkey", "What is the passkey?", "", "12345", 0.0, 0, 0, 0, 0, 0),)
    values: dict[str, Any] = {
        "model": "mini",
        "task": "niah_en",
        "version": 3,
        "metric": "exact",
        "method": method,
        "item": "0",
        "labels": {},
        "context_tokens": 1000,
        "characters": 4000,
        "ingest_s": 0.1,
        "peak_bytes": 400_000_000,
        "note": "",
        "error": "",
        "answers": answers,
        **fields,
    }
    return Record(**values)


def write_run(
    directory: Path,
    records: Sequence[Record],
    guesses: Mapping[str, float | None] | None = None,
    **manifest: Any,
) -> Path:
    """Write a finished run with these records; `manifest` replaces parts of `MANIFEST`."""
    directory.mkdir(parents=True)
    described = MANIFEST | manifest
    write_json(directory / "manifest.json", described)
    write_records(directory / "records.jsonl", (one.to_json() for one in records))
    rows = [row.model_dump() for row in summarise(records, guesses or {})]
    write_json(directory / "summary.json", {"manifest": described, "rows": rows})
    return directory
