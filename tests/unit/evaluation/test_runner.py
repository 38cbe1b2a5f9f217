"""Evaluation runs: records, resuming after a kill, refused configurations, failures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.config import validated
from dnsity.data.example import Example, Question
from dnsity.errors import BadInputError
from dnsity.evaluation import record
from dnsity.evaluation.manifest import MANIFEST
from dnsity.evaluation.methods.compressed import Compressed
from dnsity.evaluation.record import Record
from dnsity.evaluation.runner import RECORDS, SUMMARY, run
from dnsity.evaluation.settings import EvalConfig
from dnsity.io.jsonl import write_records
from tiny import DOCUMENT, save, tiny_gist_model

TIMES = ("ttft_s", "seconds")
METHODS = ["gist", "gist_wrong_document", "full", "none"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tiny_gist_model(), tmp_path_factory.mktemp("model") / "a"))


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four documents, each with a question to answer and one to choose on."""
    path = tmp_path_factory.mktemp("data") / "mine.jsonl"
    examples = [
        Example(
            f"{DOCUMENT} Number {number}.",
            (
                Question("What is the passkey?", "60479", "passkey", choices=("60479", "11111")),
                Question("When?", "at nine", "fact", ("nine",), choices=("at ten", "at nine")),
            ),
            "en",
            f"document-{number}",
        )
        for number in range(4)
    ]
    write_records(path, [example.to_record() for example in examples])
    return str(path)


@pytest.fixture
def config(model: str, questions: str) -> Callable[..., EvalConfig]:
    def make(**changed: Any) -> EvalConfig:
        values = {
            "models": [model],
            "tasks": [{"family": "own", "path": questions, "max_new_tokens": 4}],
            "methods": METHODS,
            **changed,
        }
        return validated(EvalConfig, values, "test")

    return make


def _without_times(records: list[Record]) -> list[dict[str, Any]]:
    kept = []
    for one in records:
        values = one.to_json()
        del values["ingest_s"], values["peak_bytes"]
        for answer in values["answers"]:
            for name in TIMES:
                del answer[name]
        kept.append(values)
    return kept


def test_every_document_is_recorded_once_for_every_method(
    config: Callable[..., EvalConfig], tmp_path: Path
) -> None:
    summary = run(config(), tmp_path / "run")
    records = record.read(tmp_path / "run" / RECORDS)
    assert len({one.key for one in records}) == len(records) == 4 * len(METHODS)
    assert all(len(one.answers) == 2 and not one.error for one in records)
    assert [row["method"] for row in summary["rows"]] == METHODS
    assert json.loads((tmp_path / "run" / SUMMARY).read_text("utf-8")) == summary
    gist = summary["rows"][0]["cost"]
    assert gist["slots"] == 4
    assert gist["compression_ratio"] == gist["context_tokens"] / 4
    full = next(row for row in summary["rows"] if row["method"] == "full")["cost"]
    assert full["slots"] == full["context_tokens"] == gist["context_tokens"]
    assert full["kv_bytes"] / gist["kv_bytes"] == full["slots"] / gist["slots"]


class Stop(KeyboardInterrupt):
    """A kill at a chosen moment."""


@pytest.mark.parametrize("after", [1, 5, 11])
def test_a_killed_run_resumes_with_the_results_of_an_uninterrupted_one(
    config: Callable[..., EvalConfig], tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if done == after:
            raise Stop

    directory = tmp_path / "run"
    with pytest.raises(Stop):
        run(config(), directory, progress=kill)
    assert not (directory / SUMMARY).exists()
    assert (directory / MANIFEST).exists()
    with (directory / RECORDS).open("a") as file:
        file.write('{"model": "torn in the mid')
    before = len(record.read(directory / RECORDS))
    assert before == after
    asked: list[int] = []
    real = Compressed.ingest
    monkeypatch.setattr(Compressed, "ingest", lambda self, d: (asked.append(1), real(self, d))[1])
    summary = run(config(), directory)
    undisturbed = tmp_path / "undisturbed"
    whole = run(config(), undisturbed)
    resumed = record.read(directory / RECORDS)
    assert _without_times(resumed) == _without_times(record.read(undisturbed / RECORDS))
    gists = sum(one.method.startswith("gist") for one in resumed)
    done_before = sum(one.method.startswith("gist") for one in resumed[:before])
    assert len(asked) == (gists - done_before) + gists  # what was left, and the undisturbed run's
    scores = [(row["method"], row["score"]) for row in summary["rows"]]
    assert scores == [(row["method"], row["score"]) for row in whole["rows"]]


def test_processes_share_a_run_and_change_nothing_in_it(
    config: Callable[..., EvalConfig], tmp_path: Path
) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if done == 5:
            raise Stop

    alone, shared = tmp_path / "alone", tmp_path / "shared"
    run(config(), alone)
    with pytest.raises(Stop):
        run(config(), shared, jobs=2, progress=kill)
    assert len(record.read(shared / RECORDS)) == 5
    summary = run(config(), shared, jobs=2)
    assert _without_times(record.read(shared / RECORDS)) == _without_times(
        record.read(alone / RECORDS)
    )
    assert summary["manifest"]["hardware"]["processes"] == 2


def test_a_finished_run_is_not_repeated(
    config: Callable[..., EvalConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(config(), tmp_path)
    monkeypatch.setattr(Compressed, "ingest", lambda self, document: pytest.fail("asked again"))
    assert run(config(), tmp_path)["rows"] == first["rows"]


def test_another_configuration_does_not_mix_in(
    config: Callable[..., EvalConfig], tmp_path: Path
) -> None:
    run(config(methods=["none"]), tmp_path)
    held = (tmp_path / RECORDS).read_bytes()
    with pytest.raises(BadInputError, match=r"another configuration \(methods differ\)"):
        run(config(methods=["full"]), tmp_path)
    assert (tmp_path / RECORDS).read_bytes() == held
    (tmp_path / MANIFEST).write_text("[]", encoding="utf-8")
    with pytest.raises(BadInputError, match="no manifest"):
        run(config(methods=["none"]), tmp_path)


def test_other_weights_under_the_same_name_do_not_mix_in(questions: str, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    values = {
        "models": [str(directory)],
        "tasks": [{"family": "own", "path": questions, "max_new_tokens": 2}],
        "methods": ["none"],
    }
    settings = validated(EvalConfig, values, "test")
    save(tiny_gist_model(), directory)
    run(settings, tmp_path / "run")
    save(tiny_gist_model(seed=1), directory)
    with pytest.raises(BadInputError, match="has changed since this run began"):
        run(settings, tmp_path / "run")


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError("out"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_costs_one_item(
    config: Callable[..., EvalConfig],
    tmp_path: Path,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Compressed.ingest

    def ingest(self: Any, document: str) -> Any:
        if "Number 2" in document:
            raise failure
        return real(self, document)

    monkeypatch.setattr(Compressed, "ingest", ingest)
    summary = run(config(methods=["gist", "none"]), tmp_path)
    failed = [one for one in record.read(tmp_path / RECORDS) if one.error]
    assert [(one.method, one.item[0]) for one in failed] == [("gist", "2")]
    assert failed[0].error.startswith("out of memory")
    assert [(a.answer, a.gold, a.score) for a in failed[0].answers] == [
        ("", "60479", 0.0),
        ("", "at nine", 0.0),
    ]
    row = summary["rows"][0]
    assert (row["failed"], row["documents"], row["questions"]) == (1, 4, 8)


def test_other_failures_are_not_swallowed(
    config: Callable[..., EvalConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ingest(self: Any, document: str) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Compressed, "ingest", ingest)
    with pytest.raises(RuntimeError, match="a defect"):
        run(config(methods=["gist"]), tmp_path)


def test_a_document_too_small_for_its_gists_is_recorded(model: str, tmp_path: Path) -> None:
    path = tmp_path / "small.jsonl"
    example = Example("a b", (Question("What?", "b", "k"),), "en", "s")
    write_records(path, [example.to_record()])
    values = {"models": [model], "tasks": [{"family": "own", "path": str(path)}]}
    settings = validated(EvalConfig, {**values, "methods": ["gist", "none"]}, "test")
    row = run(settings, tmp_path / "run")["rows"][0]
    assert row["failed"] == 1
    assert "would not make it smaller" in row["errors"][0]
    assert row["cost"] is None


def test_the_wrong_document_is_the_one_before_and_never_the_same(
    config: Callable[..., EvalConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingested: list[str] = []
    real = Compressed.ingest
    monkeypatch.setattr(
        Compressed, "ingest", lambda self, d: (ingested.append(d), real(self, d))[1]
    )
    run(config(methods=["gist_wrong_document"]), tmp_path / "one")
    wrong, ingested[:] = ingested[:], []
    run(config(methods=["gist"]), tmp_path / "two")
    assert wrong == [ingested[-1], *ingested[:-1]]


def test_choices_are_scored_with_their_level_of_guessing(
    config: Callable[..., EvalConfig], questions: str, tmp_path: Path
) -> None:
    tasks = [{"family": "own", "path": questions, "metric": "choice"}]
    rows = run(config(tasks=tasks), tmp_path)["rows"]
    assert {row["random_guess"] for row in rows} == {0.5}
    for one in record.read(tmp_path / RECORDS):
        for answer in one.answers:
            assert answer.answer in ("60479", "11111", "at ten", "at nine")
            assert answer.score == float(answer.answer == answer.gold)


def test_several_models_and_bases_in_one_run(
    config: Callable[..., EvalConfig], model: str, tmp_path: Path
) -> None:
    other = save(tiny_gist_model(seed=1), tmp_path / "b")
    base = str(Path(model) / "base")
    settings = config(models=[model, str(other)], bases=[base], methods=["gist", "full"])
    rows = run(settings, tmp_path / "run")["rows"]
    assert [(row["model"], row["method"]) for row in rows] == [
        ("a", "gist"),
        ("a", "full"),
        ("b", "gist"),
        ("b", "full"),
        ("base", "full"),
    ]
    written = (tmp_path / "run" / SUMMARY).read_text("utf-8")
    assert not any(path in written for path in (model, str(other), base))
    with pytest.raises(BadInputError, match="without gists"):
        run(config(models=[], bases=[base], methods=["gist"]), tmp_path / "none")


def test_only_wanted_tasks_are_run(
    config: Callable[..., EvalConfig], questions: str, tmp_path: Path
) -> None:
    tasks = [
        {"family": "own", "path": questions, "max_new_tokens": 2},
        {"family": "niah", "language": "en", "tokens": [300]},
    ]
    settings = config(tasks=tasks, only=["niah_en"], methods=["none"], limit=2)
    assert {row["task"] for row in run(settings, tmp_path / "run")["rows"]} == {
        "niah_en_filler_300"
    }
    with pytest.raises(BadInputError, match="no task 'exam'; this run has own_mine, niah_en"):
        run(config(tasks=tasks, only=["exam"]), tmp_path / "other")


@pytest.mark.parametrize(("own", "asked"), [(None, 3), (2, 2), (9, 3)])
def test_a_task_may_have_a_smaller_limit(
    config: Callable[..., EvalConfig], tmp_path: Path, own: int | None, asked: int
) -> None:
    task = {"family": "niah", "language": "en", "tokens": [100], "limit": own}
    (row,) = run(config(tasks=[task], methods=["none"], limit=3), tmp_path)["rows"]
    assert row["documents"] == asked


def test_two_tasks_of_one_name_are_refused(
    config: Callable[..., EvalConfig], questions: str, tmp_path: Path
) -> None:
    tasks = [{"family": "own", "path": questions}] * 2
    with pytest.raises(BadInputError, match="two tasks are called own_mine"):
        run(config(tasks=tasks), tmp_path)


def test_a_missing_package_is_named_before_the_first_document(
    config: Callable[..., EvalConfig],
    questions: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rouge", None)  # what `import` takes as not there
    tasks = [
        {"family": "niah", "language": "en", "tokens": [100]},
        {"family": "own", "path": questions, "metric": "rouge_l"},
    ]
    with pytest.raises(BadInputError, match=r"pip install dnsity\[eval\]"):
        run(config(tasks=tasks), tmp_path)
    assert not (tmp_path / RECORDS).exists()


def test_a_damaged_record_is_named(config: Callable[..., EvalConfig], tmp_path: Path) -> None:
    run(config(methods=["none"]), tmp_path)
    lines = (tmp_path / RECORDS).read_text("utf-8").splitlines(keepends=True)
    (tmp_path / RECORDS).write_text(lines[0] + "{}\n" + "".join(lines[1:]), encoding="utf-8")
    with pytest.raises(BadInputError, match="line 2 is no record"):
        run(config(methods=["none"]), tmp_path)


def test_configuration_mistakes_are_named() -> None:
    values = {"tasks": [{"family": "niah", "language": "en"}]}
    for wrong, said in (
        ({"methods": ["telepathy"]}, "telepathy"),
        ({"tasks": [{"family": "astrology"}]}, "astrology"),
        ({"models": []}, "nothing to evaluate"),
        ({"tasks": [{"family": "own", "path": "a.jsonl", "metric": "vibes"}]}, "vibes"),
    ):
        with pytest.raises(BadInputError, match=said):
            validated(EvalConfig, {**values, **wrong}, "test")
