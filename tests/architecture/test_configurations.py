"""Configurations are few and valid, and every committed result names one that exists."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsity.config import load
from dnsity.evaluation.settings import EvalConfig
from dnsity.training.train_gist import TrainConfig

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
CONFIGS = sorted((EXPERIMENTS / "configs").glob("*.yaml"))
COMPARISONS = sorted((EXPERIMENTS / "comparisons").glob("*.yaml"))
COMPARISON = runpy.run_path(str(EXPERIMENTS / "compare.py"))["Comparison"]
MOST = 17
PROMISED = "smoke gist_10 gist_25 gist_50 qwen3_4b_24gb llama31_8b_24gb eval_mini"
"""Configurations that the guide starts from."""


def _named(path: Path) -> set[str]:
    """Return the configurations that the commands in a file's comments use."""
    text = path.read_text("utf-8")
    return set(re.findall(r"(?:dnsity \w+|compare.py) --config (\S+)", text))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_parse_and_name_their_command(path: Path) -> None:
    config = load(path, EvalConfig if path.stem.startswith("eval_") else TrainConfig)
    assert {ROOT / each for each in _named(path)} == {path}
    counts = re.match(r"gist_(\d+)$", path.stem)
    if counts:
        assert isinstance(config, TrainConfig)
        assert config.gist.gists == int(counts[1])


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_shipped_comparisons_parse_with_every_variant(path: Path) -> None:
    comparison = load(path, COMPARISON)
    model = EvalConfig if comparison.command == "eval" else TrainConfig
    for variant in comparison.variants.values():
        load(ROOT / comparison.run, model, variant.settings)
    assert {ROOT / each for each in _named(path)} == {path}


def test_configurations_are_few() -> None:
    assert len(CONFIGS) <= MOST
    assert {path.stem for path in CONFIGS} >= set(PROMISED.split())


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, list):
        for each in value:
            yield from _values(each)
    elif isinstance(value, str):
        yield value


def test_results_name_configurations_that_exist() -> None:
    """A published figure leads to the file that it is measured with."""
    found = 0
    for path in sorted((ROOT / "results").glob("*.json")):
        for value in _values(json.loads(path.read_text("utf-8"))):
            if value.startswith("experiments/"):
                assert (ROOT / value).exists(), f"{path.name} names {value}"
                found += 1
        twin = EXPERIMENTS / "configs" / f"{path.stem}.yaml"
        if path.stem.startswith("eval_") and not path.stem.endswith("_passkey"):
            assert twin.exists(), f"{path.name} has no configuration"
    assert found >= 3
