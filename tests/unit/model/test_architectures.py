"""Supported base models, and refusals that name the model and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig, PreTrainedConfig

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.model.architectures import (
    judge,
    layer_types,
    require_supported,
    rope_types,
    sliding_window,
)
from support import FAMILIES, WINDOW, tiny_config

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("qwen3_next", {}, "linear"),
    ("falcon_h1", {}, "state-space"),
    # The default lists full attention only, so name the layers as released models do.
    ("lfm2", {"layer_types": ["conv", "full_attention"], "num_hidden_layers": 2}, "convolution"),
    ("mamba", {}, "state-space|cannot build its cache"),
    ("jamba", {}, "state-space"),
    ("gpt2", {}, "no rotary positions"),
    ("opt", {}, "no rotary positions"),
    ("bloom", {}, "no rotary positions"),
    ("deepseek_v3", {}, r"latent attention \(MLA\)"),
]


def config_of(model_type: str, **fields: Any) -> PreTrainedConfig:
    return AutoConfig.for_model(model_type, **fields)


@pytest.mark.parametrize(
    "model_type", ["llama", "qwen2", "qwen3", "phi3", "smollm3", "olmo2", "granite"]
)
def test_full_attention_with_static_rotation_is_supported(model_type: str) -> None:
    verdict = judge(config_of(model_type))
    assert verdict.level == "supported", verdict.reason
    assert verdict.reason == f"{model_type}: full attention, static rotary positions"


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "gemma3"])
def test_the_tiny_models_of_these_tests_are_supported(family: str) -> None:
    config = tiny_config(family)
    assert require_supported(config).level == "supported"
    assert layer_types(config) == {"full_attention"}
    assert sliding_window(config) is None
    assert rope_types(config) == {"default"}


@pytest.mark.parametrize(
    ("model_type", "window"), [("gemma2", 4096), ("mistral", 4096), ("gpt_oss", 128)]
)
def test_sliding_attention_is_taken_with_a_warning(model_type: str, window: int) -> None:
    verdict = require_supported(config_of(model_type))
    assert verdict.level == "warned"
    assert verdict.reason.startswith(f"{model_type}: sliding attention")
    assert f"the last {window} document tokens" in verdict.reason
    assert f"{window - 1} tokens into the answer" in verdict.reason


def test_layers_of_two_kinds_and_two_rotations_are_read_from_gemma3() -> None:
    config = tiny_config("gemma3")
    assert layer_types(config) == {"full_attention", "sliding_attention"}
    assert sliding_window(config) == WINDOW
    assert rope_types(config) == {"default"}
    assert judge(config).level == "warned"


def test_a_window_no_layer_uses_is_no_window() -> None:
    config = tiny_config("gemma3", layer_types=["full_attention"] * 3)
    assert sliding_window(config) is None
    assert judge(config).level == "supported"


def test_all_layers_sliding_is_read_from_mistral() -> None:
    config = tiny_config("mistral-sliding")
    assert layer_types(config) == {"sliding_attention"}
    assert sliding_window(config) == WINDOW


@pytest.mark.parametrize(("model_type", "fields", "reason"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused_by_name_with_reason_and_remedy(
    model_type: str, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{model_type}: .*({reason})") as refusal:
        require_supported(config_of(model_type, **fields))
    assert "Use a full-attention RoPE model such as Llama" in str(refusal.value)
    assert isinstance(refusal.value, BadInputError)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("rope", ["dynamic", "longrope"])
def test_rotations_that_depend_on_the_length_are_refused(rope: str) -> None:
    config = tiny_config("llama")
    config.rope_parameters = {"rope_type": rope, "rope_theta": 10_000.0}
    with pytest.raises(UnsupportedModelError, match=f"llama: rope type {rope} is not shift-inv"):
        require_supported(config)


def test_one_moving_rotation_among_several_is_enough() -> None:
    config = tiny_config("gemma3")
    config.rope_parameters["full_attention"] = {"rope_type": "dynamic", "rope_theta": 10_000.0}
    assert rope_types(config) == {"default", "dynamic"}
    assert judge(config).level == "refused"
