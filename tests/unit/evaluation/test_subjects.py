"""Which models a run evaluates, in which frames, under which names, on which tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.evaluation import record
from dnsity.evaluation.runner import RECORDS, SUMMARY, run
from dnsity.evaluation.settings import EvalConfig, short_names
from dnsity.inference.gist_model import GistModel
from tiny import save, tiny_gist_model

NEEDLES = {"family": "niah", "language": "en", "tokens": [200], "limit": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tiny_gist_model(), tmp_path_factory.mktemp("model") / "a")


def config(**values: Any) -> EvalConfig:
    return validated(EvalConfig, {"models": [], "tasks": [NEEDLES], **values}, "test")


def test_directories_have_the_shortest_distinct_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["one/base", "two/base", "gist-25/model", "gist-50/model/", "solo", "mini"]
    for name in names[:-1]:
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    given = ["one/base", str(tmp_path / "two" / "base"), *names[2:], "Qwen/Qwen3-0.6B"]
    assert short_names(given) == [
        *("one/base", "two/base", "gist-25/model", "gist-50/model", "solo", "mini"),
        "Qwen/Qwen3-0.6B",
    ]
    assert short_names(["two/base"]) == ["base"]
    assert short_names(["gist-25/model"]) == ["gist-25/model"]
    (tmp_path / "other" / "mini").mkdir(parents=True)
    assert short_names(["mini", "other/mini"]) == ["mini", "other/mini"]


def test_every_base_is_evaluated_in_every_frame(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = GistModel.from_base

    def from_base(name: str, *, frame: str = "auto", **given: Any) -> GistModel:
        asked.append(frame)
        return real(name, **given)

    monkeypatch.setattr(GistModel, "from_base", from_base)
    settings = config(
        models=[str(model)],
        bases=[str(model / "base")],
        frames=["chat", "plain"],
        methods=["none"],
    )
    summary = run(settings, tmp_path / "run")
    assert asked == ["chat", "plain"]
    names = ["a", "base [chat]", "base [plain]"]
    assert [row["model"] for row in summary["rows"]] == names
    assert list(summary["manifest"]["models"]) == names
    assert str(model) not in (tmp_path / "run" / SUMMARY).read_text("utf-8")
    run(settings, tmp_path / "run")
    assert len(record.read(tmp_path / "run" / RECORDS)) == 3, "a finished run asks nothing again"


def test_in_a_single_frame_a_base_has_its_plain_name(model: Path) -> None:
    base = str(model / "base")
    for frames in (["auto"], ["plain"], ["chat", "chat"]):
        (subject,) = config(bases=[base], frames=frames).subjects()
        assert subject == (base, frames[0], "base")


def test_mistakes_are_named(model: Path) -> None:
    with pytest.raises(BadInputError, match="'auto', 'chat' or 'plain'"):
        config(bases=["x"], frames=["jinja"])
    both = config(models=[str(model)], bases=[f"{model}/"])
    with pytest.raises(BadInputError, match="two models of this run are called"):
        both.subjects()
    with pytest.raises(BadInputError, match="no method 'telepathy'"):
        config(bases=["x"], tasks=[{**NEEDLES, "methods": ["telepathy"]}])


def test_a_task_may_be_for_some_of_the_methods(model: Path, tmp_path: Path) -> None:
    settings = config(
        bases=[str(model / "base")],
        methods=["full", "none", "select:ratio=2", "select:ratio=4", "truncate"],
        tasks=[
            {**NEEDLES, "methods": ["none", "select", "gist"]},
            {**NEEDLES, "tokens": [150], "methods": ["select:ratio=4", "refine:minutes=1,gists=4"]},
            {**NEEDLES, "tokens": [250]},
        ],
    )
    rows = run(settings, tmp_path / "run")["rows"]
    found = [(row["task"].rpartition("_")[2], row["method"]) for row in rows]
    assert found == [
        ("200", "select:ratio=2"),
        ("200", "select:ratio=4"),
        ("200", "none"),
        ("150", "select:ratio=4"),
        *(("250", name) for name in ("select:ratio=2", "select:ratio=4")),
        *(("250", name) for name in ("full", "truncate", "none")),
    ]
    nothing = config(
        bases=[str(model / "base")], methods=["full"], tasks=[{**NEEDLES, "methods": ["none"]}]
    )
    with pytest.raises(BadInputError, match="no task allows any of the methods full"):
        run(nothing, tmp_path / "nothing")
