"""Bundling: the model with its card, and nothing is replaced by what is no model."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from dnsity.inference.gist_model import GistModel
from dnsity.model.checkpoint import find
from tiny import save, tiny_gist_model

SCRIPT = Path(__file__).parents[3] / "recipes" / "mini" / "bundle.py"


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return stop.value.code


def test_the_bundle_is_the_model_with_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = save(tiny_gist_model(), tmp_path / "model"), tmp_path / "bundle"
    assert _run(monkeypatch, str(model), "--target", str(target)) == 0
    assert GistModel.from_pretrained(target).loaded.lm.spec.gists == 4
    assert "It cannot" in (target / "README.md").read_text("utf-8")


def test_the_card_of_the_bundled_model_is_current() -> None:
    script = runpy.run_path(str(SCRIPT))
    summary = script["json"].loads(
        (script["ROOT"] / "results" / "eval_mini.json").read_text("utf-8")
    )
    card = (find("mini") / "README.md").read_text("utf-8")
    assert card == script["card"](summary), "run recipes/mini/bundle.py"


def test_what_is_no_model_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "kept").touch()
    assert _run(monkeypatch, str(tmp_path / "nothing"), "--target", str(target)) == 2
    assert (target / "kept").exists()
