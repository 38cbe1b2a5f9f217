"""Comparisons: each variant is the run with one change, and no variant is trained twice."""

from __future__ import annotations

import json
import runpy
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

import forked
from dnsity.data.example import Example, Question
from dnsity.io.jsonl import write_records
from dnsity.training.finished_runs import RESULT
from tiny import DOCUMENT, save, tiny_gist_model

SCRIPT = runpy.run_path(str(Path(__file__).parents[3] / "experiments" / "compare.py"))
Comparison, compare = SCRIPT["Comparison"], SCRIPT["compare"]


@pytest.fixture(autouse=True)
def forked_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the runs from one process that has imported everything: a second instead of ten."""

    def run(command: list[str], stdout: IO[str], **_: Any) -> None:
        done = forked.start(Path(stdout.name).parent, *command[3:]).wait()
        assert done.code == 0, done.err[-3000:]

    monkeypatch.setattr(subprocess, "run", run)


@pytest.fixture
def comparison(
    tmp_path: Path,
    base_directory: Path,
    corpus: dict[str, list[str]],
    run_settings: dict[str, Any],
) -> Any:
    run = {
        "base": str(base_directory),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": corpus, "corpus_characters": 20_000},
        "stages": [{"tokens": [40]}],
        "probe": {"corpus": corpus, "tokens": [40], "documents": 2, "every_steps": 6},
        "training": run_settings,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run), "utf-8")
    variants = {
        "plain": {"change": "nothing", "seeds": [0, 1]},
        "fewer": {"change": "two gists", "settings": ["gist.gists=2"]},
    }
    return Comparison(run=tmp_path / "run.yaml", variants=variants)


def test_variants_differ_by_their_change_and_finished_ones_are_read_back(
    tmp_path: Path, comparison: Any
) -> None:
    found = compare(comparison, tmp_path / "out")
    assert [(run["variant"], run["seed"]) for run in found] == [
        ("plain", 0), ("fewer", 0), ("plain", 1),
    ]  # fmt: skip
    assert all(run["probe"]["documents"] == 4 and run["step"] == 6 for run in found)
    configs = [
        json.loads((tmp_path / "out" / name / "run.json").read_text("utf-8"))["config"]
        for name in ("plain-0", "fewer-0", "plain-1")
    ]
    configs[1]["gist"]["gists"] = 4
    configs[2]["training"]["seed"] = 0
    assert configs[0] == configs[1] == configs[2]
    (tmp_path / "out" / "fewer-0" / RESULT).unlink()  # as if killed before its end
    stands = (tmp_path / "out" / "plain-0" / RESULT).stat().st_mtime_ns
    assert compare(comparison, tmp_path / "out") == found
    assert (tmp_path / "out" / "plain-0" / RESULT).stat().st_mtime_ns == stands


def test_evaluations_are_compared_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    example = Example(DOCUMENT, (Question("What is the passkey?", "60479", "passkey"),), "en", "a")
    write_records(path, [example.to_record()])
    run = {
        "models": [str(save(tiny_gist_model(), tmp_path / "model"))],
        "tasks": [{"family": "own", "path": str(path), "max_new_tokens": 4}],
        "methods": ["none"],
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(run), "utf-8")
    variants = {
        "plain": {"change": "nothing"},
        "selected": {"change": "keys", "settings": ["methods=[select]", "method.ratio=4"]},
    }
    comparison = Comparison(command="eval", run=tmp_path / "run.yaml", variants=variants)
    found = compare(comparison, tmp_path / "out")
    assert [run["rows"][0]["method"] for run in found] == ["none", "select"]
    assert 3 < found[1]["rows"][0]["cost"]["compression_ratio"] <= 4  # of a few dozen tokens
