"""What a run would take: counts are exact, memory and time follow what drives them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import Gemma2Config, GPT2Config, LlamaConfig

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.training.estimate import Estimate, estimate, lines, skeleton
from dnsity.training.train_gist import TrainConfig, starting_point

SCOPES = ("gist", "document", "both", "full")
RANK = 4
LARGE: dict[str, Any] = {  # Llama-3.1-8B
    "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False,
}  # fmt: skip


def _config(base: Path | str, scope: str = "full", length: int = 64, **more: Any) -> TrainConfig:
    """A run on documents of one needle; `more` replaces whole sections, `training` parts of one."""
    values = {
        "base": str(base),
        "gist": {"gists": 4, "window_tokens": 100_000, "scope": scope},
        "lora": None if scope == "full" else {"rank": RANK},
        "data": {"corpus": {"en": ["nowhere.jsonl"]}, "documents": {"passkey": 1.0}},
        "stages": [{"tokens": [length]}],
        **more,
        "training": {"steps": 10, "tokens_per_step": 1, "bf16": False, **more.get("training", {})},
    }
    return TrainConfig.model_validate(values)


def _activations(found: Estimate) -> int:
    return found.memory_bytes["activations"]


@pytest.fixture(scope="module")
def large_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds the config of an 8B model, and nothing else."""
    folder = tmp_path_factory.mktemp("large")
    LlamaConfig(**LARGE).save_pretrained(folder)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    return folder


@pytest.mark.parametrize("scope", SCOPES)
def test_parameters_are_those_of_the_real_model(base_directory: Path, scope: str) -> None:
    config = _config(base_directory, scope)
    real = {n: (p.shape, p.requires_grad) for n, p in starting_point(config)[0].named_parameters()}
    planned = {n: (p.shape, p.requires_grad) for n, p in skeleton(config).named_parameters()}
    assert planned == real
    found = estimate(config)
    trained = sum(shape.numel() for shape, trains in real.values() if trains)
    assert found.trainable_parameters == trained
    assert found.frozen_parameters == sum(shape.numel() for shape, _ in real.values()) - trained


def test_a_base_without_sdpa_can_be_estimated(tmp_path: Path) -> None:
    """Gemma 2 caps its scores, which only the eager kernel does."""
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "head_dim": 8}
    Gemma2Config(vocab_size=101, intermediate_size=48, **shape).save_pretrained(tmp_path)
    assert skeleton(_config(tmp_path)).base.config._attn_implementation == "eager"


def test_nothing_is_loaded(base_directory: Path, tmp_path: Path) -> None:
    shutil.copy(base_directory / "config.json", tmp_path)
    lm = skeleton(_config(tmp_path, "document"))
    assert {p.device.type for p in lm.parameters()} == {"meta"}


def test_a_large_model_is_counted_exactly_and_at_once(large_base: Path) -> None:
    config = _config(large_base, "both", length=8000, lora={"rank": 16})
    start = time.perf_counter()
    found = estimate(config)
    assert time.perf_counter() - start < 10
    hidden, inner, keys = 4096, 14336, 1024
    layer = 2 * hidden * (hidden + keys) + 3 * hidden * inner + 2 * hidden
    assert found.frozen_parameters == 32 * layer + 2 * 128256 * hidden + hidden == 8_030_261_248
    ends = 4 * hidden + 2 * (hidden + keys) + 3 * (hidden + inner)  # sides of the matrices
    assert found.trainable_parameters == 32 * 16 * ends + 4 * hidden
    assert "of 8,072.2 M parameters (0.52%)" in lines(found)[0]


def test_what_a_run_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no usable base model at"):
        skeleton(_config(tmp_path / "nowhere"))
    GPT2Config(n_layer=2).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="no rotary positions"):
        skeleton(_config(tmp_path))


def test_memory_follows_length_scope_and_split(large_base: Path) -> None:
    """Doubled length, doubled activations: nothing in a step grows faster than its tokens."""
    sizes = [_activations(estimate(_config(large_base, "document", n))) for n in (2000, 4000, 8000)]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.02)
    assert sizes[2] / sizes[1] == pytest.approx(2, rel=0.02)
    assert _activations(estimate(_config(large_base, "gist", 8000))) < sizes[2] / 5
    recomputed = _config(large_base, "document", 8000, training={"checkpointing": True})
    assert _activations(estimate(recomputed)) < sizes[2] / 5
    eight = {"least_documents": 8}
    whole = estimate(_config(large_base, "document", 2000, training=eight))
    split = estimate(_config(large_base, "document", 2000, training={**eight, "accumulation": 8}))
    assert _activations(whole) == pytest.approx(8 * _activations(split), rel=0.01)
    assert whole.step_tokens == split.step_tokens == (16_000, 16_000)


def test_a_base_in_four_bit_takes_what_its_linear_layers_take(large_base: Path) -> None:
    wide = estimate(_config(large_base, "document", dtype="bfloat16"))
    four = estimate(_config(large_base, "document", dtype="bfloat16", quantization="nf4"))
    linear = 32 * (2 * 4096 * (4096 + 1024) + 3 * 4096 * 14336)
    saved = wide.memory_bytes["weights"] - four.memory_bytes["weights"]
    assert saved == pytest.approx(linear * (2 - 0.5 - 1 / 64))


def test_time_follows_the_work(base_directory: Path) -> None:
    """Measured anew each time, so only large ratios are certain."""
    short = estimate(_config(base_directory, length=64)).seconds
    assert estimate(_config(base_directory, length=6400)).seconds > 20 * short
    assert estimate(_config(base_directory, training={"steps": 1000})).seconds > 20 * short


def test_a_gpu_that_is_not_here_is_planned_for_by_its_speed(base_directory: Path) -> None:
    config = _config(base_directory, training={"bf16": True})
    here, slow, fast = (estimate(config, speed) for speed in (None, 0.1, 10.0))
    assert slow.seconds == pytest.approx(100 * fast.seconds)
    assert slow.memory_bytes == fast.memory_bytes
    assert slow.memory_bytes["weights"] == here.memory_bytes["weights"]
    # A CPU's allocator holds on to more than is alive.
    assert slow.memory_bytes["activations"] < here.memory_bytes["activations"]


def test_an_estimate_is_json_and_a_few_lines(base_directory: Path) -> None:
    found = estimate(_config(base_directory))
    read = json.loads(json.dumps(found.to_json()))
    assert read["peak_bytes"] == sum(found.memory_bytes.values()) > 0
    assert [line.split()[0] for line in lines(found)] == ["trainable", "a", "memory", "time"]
