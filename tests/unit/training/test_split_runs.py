"""Steps split over time and processes, and runs that are killed and resumed, give one result."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import forked
from dnsity.training.callbacks import METRICS
from dnsity.training.train_gist import TrainConfig, train
from dnsity.training.trainer import WEIGHTS

STEPS = 20
SPLIT_TOLERANCE = 2e-5
"""Largest gap of a weight after 20 steps, weights being up to 1.5: sums in another order gave
5.4e-7, and AdamW's first steps turn a gradient's sign into a full step, so a gradient near zero may
take another machine further; one document lost or weighed otherwise moves weights by 1e-3."""


@pytest.fixture
def config(base_directory: Path, corpus: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "base": str(base_directory),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": corpus, "corpus_characters": 20_000},
        "stages": [
            {"tokens": [32], "share": {"gist": 1.0, "full": 0.5, "text": 0.5}, "most_steps": 8},
            {"tokens": [48], "gists": [2, 4]},
        ],
        "training": {
            "steps": STEPS, "tokens_per_step": 64, "least_documents": 8, "learning_rate": 3e-3,
            "warmup_steps": 1, "bf16": False, "save_steps": 4, "log_steps": 5,
        },
    }  # fmt: skip


def _arguments(folder: Path, config: dict[str, Any]) -> list[str]:
    """The options of a run in `folder`, as a user would type them."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return ["--config", str(folder / "config.yaml"), "--output-dir", str(folder / "run")]


def _on_two(folder: Path, config: dict[str, Any], *more: str) -> Path:
    """Run in two processes, as on a machine with two GPUs; `--cpu` would start only one."""
    launch = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"),
        *("--dynamo_backend", "no", "--mixed_precision", "no", "--main_process_port", "0"),
        *("--num_processes", "2", "-m", "dnsity.training.train_gist"),
    ]
    done = subprocess.run(
        [*launch, *_arguments(folder, config), *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"


def _here(folder: Path, config: dict[str, Any], **settings: Any) -> Path:
    """Run in this process: a second instead of ten."""
    values = {**config, "training": {**config["training"], **settings}}
    train(TrainConfig.model_validate(values), folder)
    return folder


def _metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (run / METRICS).read_text("utf-8").splitlines()]


def _gap(one: Path, other: Path) -> float:
    mine, theirs = (load_file(run / f"checkpoint-{STEPS}" / WEIGHTS) for run in (one, other))
    assert mine.keys() == theirs.keys()
    return max(float((mine[name] - theirs[name]).abs().max()) for name in mine)


def _require_same_trajectory(whole: Path, split: Path, processes: int) -> None:
    states = list((split / f"checkpoint-{STEPS}").glob("rng_state*"))
    assert len(states) == processes  # each process keeps its own
    assert _gap(whole, split) <= SPLIT_TOLERANCE
    lines, same = _metrics(split), _metrics(whole)
    assert [x["step"] for x in lines] == [x["step"] for x in same]
    for line, expected in zip(lines, same, strict=True):
        assert line["stage"] == expected["stage"]
        if "loss" in expected:
            assert line["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    results = [json.loads((run / "result.json").read_text("utf-8")) for run in (whole, split)]
    assert results[0]["tokens"] == results[1]["tokens"]


def test_eight_documents_are_one_step_however_they_are_split(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    whole = _here(tmp_path / "whole", config)
    _require_same_trajectory(whole, _here(tmp_path / "turns", config, accumulation=8), 1)
    on_two = _on_two(tmp_path / "two", config, "--set", "training.accumulation=2")
    _require_same_trajectory(whole, on_two, 2)
    # The control: with another seed the documents differ, and so does the trajectory.
    other = _here(tmp_path / "other", config, seed=1)
    assert _gap(whole, other) > 100 * SPLIT_TOLERANCE


@pytest.mark.exhaustive
def test_two_processes_without_accumulation_take_the_same_steps(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    whole = _here(tmp_path / "whole", config)
    _require_same_trajectory(whole, _on_two(tmp_path / "two", config), 2)


def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    whole = _here(tmp_path / "whole", config)
    folder = tmp_path / "killed"
    run, command = folder / "run", _arguments(folder, config)
    rng = random.Random(0)
    for attempt in range(3):
        more = [] if attempt == 0 else ["--resume"]
        process = forked.start(folder, "train", *command, *more).process
        # A while after a new checkpoint directory appears: in the midst of writing it or later.
        before = len(list(run.glob("checkpoint-*")))
        newest = max((p.name for p in run.glob("checkpoint-*")), default="")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.is_alive():
            now = [p.name for p in run.glob("checkpoint-*")]
            if len(now) > before or max(now, default="") > newest:
                break
            time.sleep(0.002)
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.join()
    assert forked.start(folder, "train", *command, "--resume").wait().code == 0
    resumed = run
    mine, theirs = (load_file(r / f"checkpoint-{STEPS}" / WEIGHTS) for r in (whole, resumed))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    steps = [line["step"] for line in _metrics(resumed)]
    assert steps == [line["step"] for line in _metrics(whole)]  # nothing torn, nothing twice
    assert (
        json.loads((resumed / "result.json").read_text("utf-8"))["tokens"]
        == (json.loads((whole / "result.json").read_text("utf-8"))["tokens"])
    )
