"""The recipe of the bundled model: its stages, their order and how a run continues."""

from __future__ import annotations

import json
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from dnsity.config import load
from dnsity.errors import BadInputError
from dnsity.training.pretrain import PretrainConfig
from dnsity.training.settings import Settings, training_arguments
from dnsity.training.train_gist import TrainConfig

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "recipes" / "mini" / "run.py"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "recipes" / "mini.json").read_text("utf-8"))
"""The configuration of every stage as it was written when the model was trained."""
run = runpy.run_path(str(SCRIPT))
RECIPE: Any = load(run["RECIPE"], run["Recipe"])
STAGES = {step.name: step for step in RECIPE.stages}
ORDER = list(STAGES)


def test_every_training_run_of_the_bundled_model_is_a_stage() -> None:
    trained = [name for name, step in STAGES.items() if isinstance(step, run["Train"])]
    assert trained == list(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_stage_expands_to_the_configuration_that_was_run(name: str) -> None:
    model = PretrainConfig if name == "pretrain" else TrainConfig
    wanted = GOLDEN[name]
    found = run["expand"](RECIPE, STAGES[name], wanted.get("base", ""))
    assert model.model_validate(found) == model.model_validate(wanted)


def test_stages_start_from_the_models_they_started_from() -> None:
    named = {"base": "pretrain", "deep": "deep", "wider": "wider", "mean": "mean", "last": "last"}
    for name, old in GOLDEN.items():
        if name == "pretrain":
            continue
        before = old["base"].removeprefix("checkpoints/mini-").removesuffix("/model")
        assert STAGES[name].start == named.get(before, before.replace("-", "_"))
    assert STAGES["deep"].grow == "gist"
    assert STAGES["wider"].grow == "dense"
    assert STAGES["mean"].average == ["read", "told", "sound", "firm"]
    assert STAGES["last"].average == ["read", "told", "sound", "firm", "calm"]


def _rates(training: dict[str, Any], steps: int) -> list[float]:
    """Return the learning rates of the first steps, as Trainer computes them."""
    settings = Settings.model_validate(training)
    args = training_arguments(settings, Path("out"))
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = get_scheduler(
        args.lr_scheduler_type, optimiser, settings.warmup_steps, settings.steps,
        scheduler_specific_kwargs=dict(args.lr_scheduler_kwargs or {}),
    )  # fmt: skip
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", [name for name in GOLDEN if STAGES[name].stop_at])
def test_a_stopped_stage_follows_the_schedule_of_the_full_run(name: str) -> None:
    full, stop = GOLDEN[name]["training"], STAGES[name].stop_at
    short = run["shortened"](full, stop)
    assert short["steps"] == stop < full["steps"]
    after = full["warmup_steps"]  # it starts at the final rate, which differs
    found, wanted = _rates(short, stop), _rates(full, stop)
    assert found[after:] == pytest.approx(wanted[after:], abs=1e-12)


def _said(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out + said.err


def test_a_dry_run_prints_every_command_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, said = _said(monkeypatch, capsys, "--output-dir", str(out), "--dry-run")
    assert code == 0
    assert not out.exists()
    lines = said.splitlines()
    assert [line.partition(":")[0] for line in lines] == [n for n in ORDER if n != "broad"]
    commands = {n: shlex.split(line.partition(": ")[2]) for n, line in zip(ORDER, lines)}  # noqa: B905
    assert commands["pretrain"][2:4] == ["dnsity", "pretrain"]
    assert commands["gist"][2:4] == ["dnsity", "train"]
    assert commands["wider"][2:] == [
        str(out / "dense" / "model"), str(out / "wider"), "--still-beyond", "1024",
    ]  # fmt: skip
    assert commands["deep"][-3:] == ["--after", "2", "3"]
    assert commands["bundle"][2:] == [str(out / "last"), "--target", str(out / "bundle")]


def test_complete_stages_are_skipped_and_interrupted_ones_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "firm" / "model").mkdir(parents=True)
    (tmp_path / "firm" / "model" / "gist_config.json").touch()
    (tmp_path / "calm" / "checkpoint-50").mkdir(parents=True)
    arguments = ("--output-dir", str(tmp_path), "--from", "firm", "--dry-run")
    code, said = _said(monkeypatch, capsys, *arguments)
    lines = dict(line.split(": ", 1) for line in said.splitlines())
    assert code == 0
    assert list(lines) == ["firm", "mean", "calm", "last", "bundle"]
    assert lines["firm"] == "complete"
    assert lines["calm"].endswith("--resume")
    code, said = _said(monkeypatch, capsys, "--output-dir", str(tmp_path), "--only", "broad",
                       "--dry-run")  # fmt: skip
    assert (code, said.count("\n")) == (0, 1)


def test_stages_run_one_after_another_with_their_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda words, check: called.append(words))
    steps = run["chosen"](RECIPE, None, "whole")[:1]
    run["run"](RECIPE, steps, tmp_path, dry_run=False)
    [words] = called
    config = load(Path(words[words.index("--config") + 1]), TrainConfig)
    assert config.base == str(tmp_path / "far" / "model")
    assert config.training.steps == STAGES["whole"].stop_at


def test_unknown_stages_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = _said(monkeypatch, capsys, "--only", "nothing")
    assert code == BadInputError.exit_code
    assert "unknown stage 'nothing', allowed are pretrain, gist" in said
    with pytest.raises(ValueError, match="starts from unknown stages"):
        run["Recipe"].model_validate(
            {"shared": {"gist": {}, "data": {}, "training": {}},
             "stages": [{"name": "deep", "grow": "gist"}]}
        )  # fmt: skip
