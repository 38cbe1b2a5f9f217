"""The results page on real bases: every score in both languages; nothing without results."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsity.evaluation.record import Record
from dnsity.evaluation.summary import summarise
from evaluated import MANIFEST, answered, record

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    importlib.invalidate_caches()


def written(language: str, *arguments: Any) -> list[str]:
    words = importlib.import_module("result_words").Words(language)
    text: str = importlib.import_module("result_bases").bases(words, *arguments)
    return text.splitlines()


def summary(*records: Record) -> dict[str, Any]:
    return {"manifest": MANIFEST, "rows": [row.model_dump() for row in summarise(records, {})]}


def scored(task: str, model: str = "small", **scores: float) -> list[Record]:
    names = {"select2": "select:ratio=2", "refine": "refine:minutes=1,gists=25"}
    return [
        record(names.get(name, name), answered(score), task=task, model=model, item=str(item))
        for name, score in scores.items()
        for item in range(2)
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


FOUND = [
    *scored("niah_en", full=1.0, none=0.0, select2=0.8),
    *scored("niah8_en", full=0.0, none=0.0, refine=0.6),
    record("refine:minutes=1,gists=25", error="too long", task="niah8_en", model="small", item="2"),
]


def test_a_table_has_every_score_and_the_documents_it_is_of() -> None:
    lines = written("en", [summary(*FOUND)])
    assert lines[0] == (
        "**small**, a base without gists: 5 documents in 2 tasks. Example CPU, 2 cores, commit "
        "`0123456789`."
    )
    assert cells(lines[2]) == [
        *("task", "documents", "questions", "metric"),
        *("refined, 1 min, 25 slots", "selected keys, 2x", "full context", "no context"),
    ]
    assert cells(lines[4]) == ["niah_en", "2", "2", "exact", "-", "80%", "100%", "0%"]
    assert cells(lines[5])[-4:] == ["40% (1 failed)", "-", "0%", "0%"]
    assert lines[-1].startswith("Below 20% even with the whole document")
    assert lines[-1].endswith(": `niah8_en`.")


def test_nothing_is_said_of_tasks_that_the_base_can_do() -> None:
    lines = written("en", [summary(*scored("niah_en", full=0.2, none=0.0))])
    assert "Below" not in "".join(lines)


def test_korean_says_the_same() -> None:
    lines = written("ko", [summary(*FOUND)])
    assert cells(lines[2])[4:] == [
        *("문서별 미세 조정(refine), 1분, 슬롯 25개", "고른 키(select), 2배", "전체 문맥", "무문맥")
    ]
    assert cells(lines[5])[4] == "40% (실패 1편)"
    assert "`niah8_en`" in lines[-1]


def test_several_bases_and_their_frames() -> None:
    first, second = scored("niah_en", full=1.0), scored("niah_en", "large", full=0.4)
    both = [
        record
        for frame, right in (("chat", 0.8), ("plain", 0.6))
        for record in scored("qa_en", f"small [{frame}]", full=right, none=0.2)
    ]
    lines = written("en", [summary(*first), summary(*second)], summary(*both))
    assert [line.partition(",")[0] for line in lines if line.startswith("**")] == [
        *("**small**", "**large**")
    ]
    assert cells(lines[-3]) == ["task", "documents", "questions", "small [chat]", "small [plain]"]
    assert cells(lines[-1]) == ["qa_en", "2", "2", "80% (20%)", "60% (20%)"]


def test_without_results_the_part_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written("en", []) == []
    readme = "<!-- generated: bases -->\nold\n<!-- end: bases -->\n"
    module = importlib.import_module("result_tables")
    monkeypatch.setattr(module, "_exists", lambda name: False)
    assert module.render(readme, "en") == "<!-- generated: bases -->\n<!-- end: bases -->\n"
