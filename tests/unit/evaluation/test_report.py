"""Reports: every figure of the summary is in its place; unusable runs are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import BadInputError
from dnsity.evaluation import report, tables
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.summary import summarise
from evaluated import answered, record, write_run


def _records(gist: float = 0.75, slots: int = 25, **fields: Any) -> list[Any]:
    """Four documents under four methods; of the gists' scores the mean is `gist`."""
    found = []
    for number in range(4):
        labels = {"language": "en", "tokens": 512 << (number % 2), "depth": float(number // 2)}
        common = {"item": str(number), "labels": labels} | fields
        right = float(number < 4 * gist)
        found += [
            record("gist", answered(right, slots=slots), **common),
            record("full", answered(1.0, slots=1000, ttft_s=0.5), **common),
            record("truncate", answered(0.5, slots=384), note="read 384 of 1000 tokens", **common),
            record("none", answered(0.0, slots=0), **common),
        ]
    return found


def _cells(text: str, first: str) -> list[list[str]]:
    """Return the cells of every table line that begins so."""
    lines = (line.strip("| ").split("|") for line in text.splitlines() if line.startswith("| "))
    cells = ([cell.strip() for cell in line] for line in lines)
    return [line for line in cells if line[0] == first]


def _written(tmp_path: Path, *runs: Path) -> str:
    return report.write(runs, tmp_path / "out").report.read_text("utf-8")


def test_figures_are_those_of_the_summary(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", _records())
    text = _written(tmp_path, run)
    rows = {row["method"]: row for row in json.loads((run / "summary.json").read_text())["rows"]}
    quality, size, time = _cells(text, "gist")[:3]
    score, against = rows["gist"]["score"], rows["full"]["gist_minus_this"]
    assert quality[1] == f"75.0% [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"
    assert quality[2].startswith("75.0% [")
    assert quality[3:] == ["75.0%", "-", "-", "0", "0"]
    assert _cells(text, "full context")[0][4:6] == ["-25.0", f"{against['p']:.3f}"]
    assert size == ["gist", "1,000", "25", "40x", "160", "76.8 kB", "13,021", "400 MB"]
    assert time[1:4] == ["100 ms", "120 ms", "20 ms [20 ms, 20 ms]"]
    assert time[5] == str(rows["gist"]["cost"]["break_even_questions"])
    assert _cells(text, "gist")[-2:] == [["gist", "100.0%", "50.0%"]] * 2  # by tokens, by depth


def test_says_what_was_run_and_what_every_method_is(tmp_path: Path) -> None:
    resumed = [{"commit": "f" * 40, "dirty": False}]
    run = write_run(
        tmp_path / "run", [record(m, answered(1.0)) for m in METHODS], dirty=True, resumed=resumed
    )
    text = _written(tmp_path, run)
    assert "0123456789 with uncommitted changes, resumed at ffffffffff" in text
    assert "x86_64, Example CPU, 2 cores" in text
    assert all(f"**{method.heading}** (`{name}`)" in text for name, method in METHODS.items())
    assert all(_cells(text, method.heading) for method in METHODS.values())


def test_left_out_text_and_failures_are_noted(tmp_path: Path) -> None:
    failed = record("rag", item="0", error="out of memory:\n12 | GB")
    text = _written(tmp_path, write_run(tmp_path / "run", [*_records(), failed]))
    assert 'truncated: 4 of 4 documents noted, for example "read 384 of 1000 tokens"' in text
    assert "RAG top-3: 1 of 1 documents failed and count as wrong: out of memory: 12 \\| GB" in text
    quality, size, time = _cells(text, "RAG top-3")[:3]
    assert quality[-2:] == ["1 of 1", "0"]
    assert set(size[1:]) == set(time[1:]) == {"-"}


def test_a_run_in_which_everything_failed_has_a_report(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record("gist", error="out of memory")])
    assert "1 of 1 documents failed" in _written(tmp_path, run)


def test_random_guess_is_a_row_of_multiple_choice(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", _records(task="exam", metric="choice"), {"exam": 0.25})
    assert _cells(_written(tmp_path, run), "random guess")[0][1] == "25.0%"


def test_two_runs_are_compared_in_columns(tmp_path: Path) -> None:
    few = write_run(tmp_path / "few", _records(0.5, slots=10))
    many = write_run(tmp_path / "many", _records(1.0, slots=50))
    text = _written(tmp_path, few, many)
    assert ["score at ratio", "few", "many"] in _cells(text, "score at ratio")
    compared = _cells(text, "gist")[0]
    assert compared[1].startswith("50.0% [")
    assert compared[1].endswith(" at 100x")
    assert compared[2].startswith("100.0% [")
    assert compared[2].endswith(" at 20x")
    assert "comparable" not in text
    assert "with care" not in text


def test_a_comparison_of_unequal_tasks_has_a_warning(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", _records())
    other = write_run(tmp_path / "other", _records(characters=999, version=2))
    text = _written(tmp_path, one, other)
    assert "Not comparable" in text
    assert "Compare with care" in text


def test_models_and_runs_have_distinct_labels(tmp_path: Path) -> None:
    both = write_run(tmp_path / "a", [*_records(model="x/mini"), *_records(model="y/mini")])
    same_name = write_run(tmp_path / "b" / "a", _records())
    names = _cells(_written(tmp_path, both, same_name, both), "score at ratio")[0][1:]
    assert names == [f"{both}: x/mini", f"{both}: y/mini", str(same_name)]


def test_data_holds_the_summaries_and_the_needles(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", _records())
    written = report.write([run], tmp_path / "out")
    data = json.loads(written.data.read_text("utf-8"))
    assert data["runs"] == [{"name": "run"} | json.loads((run / "summary.json").read_text())]
    gist = next(grid for grid in data["needles"] if grid["method"] == "gist")
    assert gist["tokens"] == [512, 1024]
    assert gist["scores"] == [[1.0, 1.0], [1.0, 0.0]]
    assert all(path.stat().st_size for path in written.pictures)
    shown = {path.name for path in written.pictures if path.suffix == ".png"}
    assert shown == {"quality.png", "costs.png", "needles_niah_en.png"}
    assert all(f"({name})" in written.report.read_text("utf-8") for name in shown)


def test_tables_are_aligned_as_text(tmp_path: Path) -> None:
    korean = [record("gist", answered(n, kind=k)) for n, k in ((1.0, "시각"), (0.0, "a|b"))]
    text = _written(tmp_path, write_run(tmp_path / "run", korean))
    table: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        wide = {len(row) + sum(letter in "시각" for letter in row) for row in table}
        assert len(wide) <= 1
        table = []
    assert "a\\|b (1)" in text


def _damage(run: Path, how: str) -> None:
    summary = run / "summary.json"
    if how == "unfinished":
        summary.unlink()
    elif how == "torn":
        summary.write_text(summary.read_text()[:100])
    elif how == "list":
        summary.write_text("[]")
    elif how == "empty":
        summary.write_text(json.dumps(json.loads(summary.read_text()) | {"rows": []}))
    elif how == "records":
        records = (run / "records.jsonl").read_text().splitlines(keepends=True)
        (run / "records.jsonl").write_text("".join(records[1:]))
    else:
        values = json.loads(summary.read_text())
        values["rows"][0] |= {"score": 1} if how == "types" else {"method": "telepathy"}
        summary.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("unfinished", "has no summary.json: the run is not finished; run it again to resume"),
        ("torn", "run it again to rewrite the file"),
        ("list", "damaged"),
        ("empty", "no rows"),
        ("types", "rows.0.score"),
        ("records", "of 16 records, but records.jsonl has 15"),
        ("method", "telepathy"),
    ],
)
def test_a_run_that_cannot_be_read_is_refused(tmp_path: Path, how: str, says: str) -> None:
    run = write_run(tmp_path / "run", _records())
    _damage(run, how)
    with pytest.raises(BadInputError) as refused:
        report.write([run], tmp_path / "out")
    assert says in str(refused.value)
    assert str(run) in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no directory"):
        report.write([tmp_path / "nowhere"], tmp_path / "out")


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", _records())
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BadInputError, match=r"pip install dnsity\[eval\]"):
        report.write([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", _records())
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInputError, match="--output-dir"):
        report.write([run], tmp_path / "out")


def test_at_a_glance_there_is_a_line_for_every_task_with_every_score(tmp_path: Path) -> None:
    records = [
        record(method, answered(score), task=task, item=str(item))
        for task in ("niah_en", "exam")
        for method, score in (("gist", 0.6), ("full", 0.8), ("stored_full_kv", 0.8), ("none", 0.2))
        for item in range(3)
    ]
    rows = summarise(records, {"exam": 0.25})
    header, _, *lines = (
        [cell.strip() for cell in line.strip("| ").split("|")] for line in tables.glance(rows)
    )
    assert header[2:5] == ["gist", "full context", "no context"]
    assert lines[0][:6] == ["niah_en", "exact", "60%", "80%", "20%", "-"]
    assert lines[1][5] == "25%"
    assert lines[0][6].startswith("66.7% [")
