"""`dnsity eval` and the two scripts that run it."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from running import Run

ROOT = Path(__file__).resolve().parents[3]
QUICK = (
    "--task",
    "niah_en",
    "--limit",
    "1",
    "--set",
    "tasks=[{family: niah, language: en, tokens: [300]}]",
)


def test_named_tasks_methods_and_models(run: Run, model_directory: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run(
        "eval",
        *QUICK,
        "--method",
        "gist,none",
        "--model",
        model_directory,
        "--seed",
        3,
        "--output-dir",
        out,
        "--json",
    )
    summary = done.json
    assert [row["method"] for row in summary["rows"]] == ["gist", "none"]
    assert summary["manifest"]["config"]["seed"] == summary["manifest"]["seed"] == 3
    assert summary["manifest"]["models"]["/".join(Path(model_directory).parts[-2:])]
    assert model_directory not in str(summary)
    assert {path.name for path in out.iterdir()} == {
        "manifest.json",
        "records.jsonl",
        "summary.json",
    }
    assert done.err == "2 documents times methods; if stopped, run it again to resume\n"


def test_the_table_shows_methods_and_what_they_cost(
    run: Run, model_directory: str, tmp_path: Path
) -> None:
    arguments = ("eval", *QUICK, "--method", "full,none", "-m", model_directory)
    done = run(*arguments, "--output-dir", tmp_path / "run")
    assert done.code == 0, done.err
    for shown in ("niah_en_filler", "full context", "no context", "0.0%", str(tmp_path / "run")):
        assert shown in done.out


def test_bases_methods_with_settings_and_frames(
    run: Run, model_directory: str, tmp_path: Path
) -> None:
    base = Path(model_directory) / "base"
    other = base.parent / "base: #2"  # a name that YAML would read as something else
    if not other.exists():
        other.symlink_to(base, target_is_directory=True)
    arguments = ("eval", *QUICK, "--method", "full,select:ratio=2,rag:top=1,chunk_tokens=64")
    bases = ("--base", f"{base},", "--base", other)
    done = run(*arguments, *bases, "--output-dir", tmp_path / "run", "--json")
    rows = done.json["rows"]
    methods = ["select:ratio=2", "full", "rag:top=1,chunk_tokens=64"]
    assert [(row["model"], row["method"]) for row in rows] == [
        (name, method) for name in ("base", "base: #2") for method in methods
    ]
    assert done.json["manifest"]["config"]["models"] == []
    shown = run(*arguments, *bases, "--output-dir", tmp_path / "run")
    assert "selected keys, 2x" in shown.out
    asked = ("--base", base, "--frame", "auto,plain", "-m", model_directory, "--method", "none")
    frames = run("eval", *QUICK, *asked, "--output-dir", tmp_path / "frames", "--json").json
    assert [row["model"].rpartition(" ")[2] for row in frames["rows"]][1:] == ["[auto]", "[plain]"]
    assert len(frames["manifest"]["config"]["models"]) == 1


def test_what_is_not_there_is_named(run: Run, model_directory: str, tmp_path: Path) -> None:
    base = ("eval", "-m", model_directory, "--output-dir", tmp_path / "run")
    for arguments, said in (
        (("--task", "tarot"), "no task 'tarot'; this run has niah_en_filler"),
        (("--method", "telepathy"), "no method 'telepathy'; known are gist"),
        (("--method", "select:rate=2"), "no setting 'rate'; it takes ratio"),
        (("--frame", "jinja"), "'auto', 'chat' or 'plain'"),
        (("--limit", "0"), "greater than or equal to 1"),
    ):
        done = run(*base, *arguments)
        assert done.code == 2
        assert said in done.err, done.err
        assert done.err.count("\n") == 1


def _script(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> dict[str, object]:
    monkeypatch.setattr(sys, "argv", [name, *arguments, "--json"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "experiments" / name), run_name="__main__")
    captured = capsys.readouterr()
    assert stopped.value.code == 0, captured.err
    summary: dict[str, object] = json.loads(captured.out)
    return summary


def test_the_longbench_script_runs_a_dataset_by_every_method(
    model_directory: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "longbench"
    folder.mkdir()
    prompts = {"narrativeqa": "Story: {context}\n\nQuestion: {input}\n\nAnswer:"}
    (folder / "dataset2prompt.json").write_text(json.dumps(prompts), encoding="utf-8")
    (folder / "dataset2maxlen.json").write_text('{"narrativeqa": 4}', encoding="utf-8")
    row = {
        "input": "Where?",
        "context": "The boat left the harbour before dawn. " * 12,
        "answers": ["the harbour"],
        "length": 84,
        "dataset": "narrativeqa",
        "language": "en",
        "all_classes": None,
        "_id": "a",
    }
    (folder / "narrativeqa.jsonl").write_text(
        "".join(json.dumps({**row, "_id": x, "context": row["context"] + x}) + "\n" for x in "ab"),
        encoding="utf-8",
    )
    summary = _script(
        "eval_longbench.py",
        monkeypatch,
        capsys,
        "--checkpoint",
        model_directory,
        "--dataset",
        "narrativeqa",
        "--folder",
        str(folder),
        "--output-dir",
        str(tmp_path / "run"),
    )
    rows = summary["rows"]
    assert isinstance(rows, list)
    assert len(rows) == 10
    assert {row["task"] for row in rows} == {"longbench_narrativeqa"}
    assert all(row["failed"] == 0 for row in rows)


def test_the_baseline_script_runs_a_base_without_gists(
    model_directory: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "eval.yaml"
    config.write_text(
        "models: [mini]\nlimit: 1\ntasks: [{family: niah, language: ko, tokens: [350]}]\n",
        encoding="utf-8",
    )
    summary = _script(
        "eval_baseline.py",
        monkeypatch,
        capsys,
        "--base",
        str(Path(model_directory) / "base"),
        "--config",
        str(config),
        "--method",
        "full",
        "truncate",
        "none",
        "--output-dir",
        str(tmp_path / "run"),
    )
    rows = summary["rows"]
    assert isinstance(rows, list)
    assert [row["method"] for row in rows] == ["full", "truncate", "none"]
