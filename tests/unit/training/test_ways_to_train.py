"""Settings of a run, each in a short real run, and combinations that are refused."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file

import forked
from dnsity.data.encode import TextEncoder
from dnsity.data.generators.niah import NiahConfig, generate
from dnsity.errors import BadInputError
from dnsity.inference.gist_model import GistModel
from dnsity.io.jsonl import write_records
from dnsity.model import checkpoint
from dnsity.model.base import load_tokenizer
from dnsity.training.resume import newest_complete
from dnsity.training.train_gist import TrainConfig, train
from dnsity.training.trainer import WEIGHTS
from support import TOLERANCE, assert_same, tiny_base
from tiny import tiny_tokenizer

LORA = {"rank": 4, "alpha": 8}


@pytest.fixture
def values(
    base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> dict[str, Any]:
    return {
        "base": str(base_directory),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": corpus, "corpus_characters": 20_000},
        "stages": [{"tokens": [40]}],
        "training": run_settings,
    }


def _with(values: dict[str, Any], **changes: dict[str, Any] | Any) -> dict[str, Any]:
    """Change settings; a mapping is merged into the section of that name."""
    merged = dict(values)
    for key, change in changes.items():
        old = values.get(key)
        merged[key] = {**old, **change} if isinstance(old, dict) else change
    return merged


def _weights(values: dict[str, Any], folder: Path) -> dict[str, torch.Tensor]:
    train(TrainConfig.model_validate(values), folder)
    return load_file(folder / "checkpoint-6" / WEIGHTS)


def test_both_paths_take_the_same_steps(tmp_path: Path, values: dict[str, Any]) -> None:
    two_pass = _weights(values, tmp_path / "two_pass")
    masked = _weights(_with(values, training={"path": "masked"}), tmp_path / "masked")
    for name, weight in two_pass.items():
        # AdamW divides by a gradient's own size: where it is nearly zero, rounding steps as far as
        # any other gradient. test_model_with_loss compares gradients themselves to `TOLERANCE`.
        assert_same(masked[name], weight, name, allowed=10 * TOLERANCE)


def test_checkpointing_takes_the_same_steps(tmp_path: Path, values: dict[str, Any]) -> None:
    plain = _weights(values, tmp_path / "plain")
    saving = _weights(_with(values, training={"checkpointing": True}), tmp_path / "saving")
    for name, weight in plain.items():
        assert_same(saving[name], weight, name)


def test_the_teacher_changes_the_steps_and_its_cache_does_not(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    lora = _with(values, gist={"scope": "document"}, lora=LORA)
    taught = _with(lora, objective={"answer": 0.5, "teacher": 1.0, "least_weight": 0.1})
    cached = _with(taught, objective={**taught["objective"], "teacher_cache": str(tmp_path / "t")})
    alone = _weights(lora, tmp_path / "alone")
    fresh = _weights(taught, tmp_path / "fresh")
    keeping = _weights(cached, tmp_path / "keeping")
    lessons = sorted((tmp_path / "t").iterdir())
    again = _weights(cached, tmp_path / "again")
    assert sorted((tmp_path / "t").iterdir()) == lessons != []
    assert any(not torch.equal(alone[name], fresh[name]) for name in alone)
    for name, weight in fresh.items():
        assert torch.equal(keeping[name], weight)
        assert_same(again[name], weight, name)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_base_in_four_bit_trains_from_the_configuration(
    tmp_path: Path, values: dict[str, Any], dtype: str
) -> None:
    tokenizer = tiny_tokenizer()
    tiny_base(
        "llama", vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, head_dim=16
    ).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    config = _with(
        values, base=str(tmp_path / "base"), dtype=dtype, quantization="nf4",
        gist={"scope": "document"}, lora=LORA,
    )  # fmt: skip
    weights = _weights(config, tmp_path / "run")
    assert all(name == "gist_rows" or "lora_" in name for name in weights)
    assert any("lora_B" in name and weight.any() for name, weight in weights.items())
    assert all(weight.dtype == torch.float32 for weight in weights.values())
    read = checkpoint.read_config(tmp_path / "run" / "model")
    assert read.quantization == "nf4"
    model = GistModel.from_pretrained(tmp_path / "run" / "model")
    assert model.ask(model.compress("The harbour is quiet. " * 6), "What?").new_tokens >= 0


def test_documents_with_questions_of_ones_own_are_trained_on(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    encoder = TextEncoder(load_tokenizer(values["base"]))
    made = generate(NiahConfig(samples=5, tokens=[60, 80]), encoder)
    write_records(tmp_path / "own.jsonl", (example.to_record() for example in made))
    own = _with(
        values, data={"corpus": {}, "records": [str(tmp_path / "own.jsonl")],
                      "documents": {"records": 1.0}}, stages=[{"tokens": [80]}],
    )  # fmt: skip
    own["data"].pop("corpus")
    weights = _weights(own, tmp_path / "run")
    assert weights["gist_rows"].isfinite().all()


def test_records_that_no_stage_would_use_are_refused(values: dict[str, Any]) -> None:
    unused = _with(values, data={"records": ["own.jsonl"], "documents": {"passkey": 1.0}})
    with pytest.raises(ValueError, match=r"data\.records would not be used"):
        TrainConfig.model_validate(unused)
    stages = [*unused["stages"], {"tokens": [80], "documents": {"records": 1.0}}]
    assert TrainConfig.model_validate({**unused, "stages": stages}).data.records


def test_metrics_go_to_tensorboard_too(tmp_path: Path, values: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _weights(_with(values, training={"report_to": ["tensorboard"]}), tmp_path)
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    seen = EventAccumulator(str(events.parent)).Reload()
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines())
    written = [x["loss"] for x in lines if "loss" in x]
    assert [e.value for e in seen.Scalars("train/loss")] == pytest.approx(written)


def test_a_reporter_that_is_not_installed_is_named_before_the_run(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    config = TrainConfig.model_validate(_with(values, training={"report_to": ["swanlab"]}))
    with pytest.raises(BadInputError, match="pip install swanlab"):
        train(config, tmp_path)
    with pytest.raises(ValidationError, match=r"unknown \['tensorbord'\], allowed are .*trackio"):
        TrainConfig.model_validate(_with(values, training={"report_to": ["tensorbord"]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gist": {"scope": "document"}}, "needs a lora section"),
        ({"lora": LORA}, "takes no lora section"),
        (
            {"gist": {"scope": "gist"}, "lora": LORA, "training": {"path": "masked"}},
            "use 'two_pass'",
        ),
        ({"objective": {"teacher_cache": "x"}}, "needs a base that is not trained"),
        ({"quantization": "nf4"}, "dtype must be float32, without quantization"),
        ({"dtype": "bfloat16"}, "dtype must be float32, without quantization"),
        (
            {"gist": {"scope": "document"}, "lora": LORA,
             "stages": [{"tokens": [40], "share": {"gist": 1.0, "full": 1.0}}]},
            "only mode 'gist' has weights to train",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_at_once(
    values: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate(_with(values, **changes))


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    """A file size limit of the operating system replaces the full disk."""
    path = tmp_path / "config.yaml"
    values = _with(values, training={"save_steps": 2})
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    run = tmp_path / "run"
    train(TrainConfig.model_validate(_with(values, training={"steps": 2})), run)
    kept = newest_complete(run)
    assert kept == run / "checkpoint-2"
    largest = max(p.stat().st_size for p in kept.iterdir())
    done = forked.start(
        tmp_path, "train", "--config", path, "--output-dir", run, "--resume",
        limits={resource.RLIMIT_FSIZE: largest - 1},
    ).wait()  # fmt: skip
    assert done.code == 2, done.err
    last = done.err.strip().splitlines()[-1]
    assert "cannot write checkpoint" in last
    assert f"{kept} is complete: make room and --resume" in last
    assert newest_complete(run) == kept
    assert not (run / "checkpoint-4").exists()
