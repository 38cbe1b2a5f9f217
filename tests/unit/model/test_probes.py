"""The numeric probes of a base: do positions hold, can keys be moved, in every compute type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.ministral3 import Ministral3Config

from dnsity.errors import UnsupportedModelError
from dnsity.inference import loaded as loaded_module
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods import Refine
from dnsity.inference.methods.select import select_key_values
from dnsity.model import attention, positions
from dnsity.model.architectures import judge
from dnsity.model.attention import moved, rotating_layers
from dnsity.model.positions import require_shift_invariant
from support import FAMILIES, SLIDING, tiny_base
from tiny import CHAT, DOCUMENT, QUESTIONS, tiny_base_model, tiny_gist_model, tiny_tokenizer

TYPES = (torch.float32, torch.bfloat16, torch.float16)
every_type = pytest.mark.parametrize("dtype", TYPES, ids=str)


def ministral3(**rope: Any) -> PreTrainedModel:
    """Ministral 3 in miniature, with the rotation that its publisher gives."""
    config = Ministral3Config(
        vocab_size=400 + len(CHAT) + 1, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, initializer_range=0.3,
        pad_token_id=0, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    config.rope_parameters = {**config.rope_parameters, **rope}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return model.eval()


@every_type
@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_rounding_is_no_reason_to_refuse(family: str, dtype: torch.dtype) -> None:
    base = tiny_base(family).to(dtype)
    require_shift_invariant(base)
    assert rotating_layers(base) == [True] * 3


@every_type
@pytest.mark.parametrize("by", [1, 2, -7])
def test_a_rotation_that_is_wrong_is_seen_in_every_type(
    dtype: torch.dtype, by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the library's rotation were called in another way than the layers call it."""

    def wrong(base: Any, layer: int, heads: Tensor, places: Tensor) -> Tensor:
        return moved(base, layer, heads, places + by)

    monkeypatch.setattr(attention, "moved", wrong)
    for family in ("llama", "gemma3"):
        with pytest.raises(UnsupportedModelError, match="cannot be moved"):
            rotating_layers(tiny_base(family).to(dtype))


POSITIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamped": lambda where: where.clamp(min=0),
    "mirrored": lambda where: where.abs(),
    "stretched": lambda where: where + where.abs() // 8,
}


@every_type
@pytest.mark.parametrize("use", POSITIONS)
def test_positions_used_in_another_way_are_found(
    use: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = LlamaRotaryEmbedding.forward
    other = POSITIONS[use]
    monkeypatch.setattr(
        LlamaRotaryEmbedding, "forward",
        lambda self, x, position_ids: forward(self, x, other(position_ids)),
    )  # fmt: skip
    with pytest.raises(UnsupportedModelError, match=r"attention scores of layer 0 .* at position"):
        require_shift_invariant(tiny_base("llama").to(dtype))


def test_one_kind_of_layers_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Gemma3RotaryEmbedding.forward

    def clamped(self: Any, x: Tensor, position_ids: Tensor, layer_type: str) -> Any:
        where = position_ids.clamp(min=0) if layer_type == "full_attention" else position_ids
        return forward(self, x, where, layer_type)

    monkeypatch.setattr(Gemma3RotaryEmbedding, "forward", clamped)
    with pytest.raises(UnsupportedModelError, match="scores of layer 1 "):
        require_shift_invariant(tiny_base("gemma3"))


@every_type
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.layers.2.self_attn.v_proj", "the values of layer 2"),
        ("model.embed_tokens", "the embeddings"),
        ("lm_head", "the logits"),
    ],
)
def test_positions_anywhere_else_are_found(name: str, found: str, dtype: torch.dtype) -> None:
    """An output that depends on the row, as one does that depends on where the row is."""
    base = tiny_base("llama").to(dtype)
    ramp = 1 + 0.3 * torch.arange(9)[:, None, None]
    base.get_submodule(name).register_forward_hook(
        lambda _, __, out: out * ramp[: len(out)].to(out.dtype)
    )
    with pytest.raises(UnsupportedModelError, match=found):
        require_shift_invariant(base)


@every_type
def test_queries_scaled_by_their_position_are_found_without_the_config(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "require_compressible", lambda config: None)
    with pytest.raises(UnsupportedModelError, match="attention scores of layer 0"):
        require_shift_invariant(ministral3().to(dtype))
    # Where only positions from 0 on count, the end of the window tells.
    monkeypatch.setattr(
        "transformers.models.ministral3.modeling_ministral3.get_llama_4_attn_scale",
        lambda where, beta, most: (
            (1 + beta * torch.log1p((where.clamp(min=0) / most).floor()))[:, None, :, None]
        ).to(dtype),
    )
    with pytest.raises(UnsupportedModelError, match="attention scores of layer 0"):
        require_shift_invariant(ministral3().to(dtype))


def test_a_base_that_scales_by_position_loads_and_is_never_compressed_with() -> None:
    base = ministral3()
    verdict = judge(base.config)
    assert (verdict.level, verdict.loads) == ("refused", True)
    assert "llama_4_scaling_beta" in verdict.reason
    model = GistModel.from_base(base, tiny_tokenizer())
    for method in ("select", Refine(gists=4, steps=0, rows=16)):
        with pytest.raises(UnsupportedModelError, match="llama_4_scaling_beta"):
            model.compress(DOCUMENT, method=method)
    assert model.loaded.read([5, 6, 7])


def test_positions_are_probed_once_before_the_first_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probed: list[Any] = []
    monkeypatch.setattr(loaded_module, "require_shift_invariant", probed.append)
    for model, method in ((tiny_gist_model(), "gist"), (tiny_base_model("llama"), "select")):
        probed.clear()
        for _ in range(3):
            model.compress(DOCUMENT, method=method)
        assert probed == [model.loaded.lm.base]


def test_a_base_in_memory_is_probed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = LlamaRotaryEmbedding.forward
    monkeypatch.setattr(
        LlamaRotaryEmbedding, "forward",
        lambda self, x, position_ids: forward(self, x, position_ids.clamp(min=0)),
    )  # fmt: skip
    model = GistModel.from_base(tiny_base_model("llama").loaded.lm.base, tiny_tokenizer())
    with pytest.raises(UnsupportedModelError, match="uses positions for more than rotation"):
        model.compress(DOCUMENT, method="select")
    assert model.loaded.lm.base.config._attn_implementation == "sdpa"


@every_type
@pytest.mark.parametrize("family", ["llama", "qwen2", *SLIDING])
def test_select_takes_every_type(family: str, dtype: torch.dtype) -> None:
    model = tiny_base_model(family)
    model.loaded.lm.to(dtype)
    gist = model.compress(DOCUMENT, method="select", gists=8)
    assert gist.layers[0][0].dtype == dtype
    assert all(map(isinstance, (a.text for a in model.ask(gist, QUESTIONS)), [str] * 3))


REAL = os.environ.get("DNSITY_BASES")


@pytest.mark.skipif(REAL is None, reason="needs real bases: DNSITY_BASES=FOLDER")
@every_type
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"])
def test_real_bases_hold_their_positions(name: str, dtype: torch.dtype) -> None:
    loaded = GistModel.from_base(Path(REAL or "") / name, dtype=dtype).loaded
    loaded.require_shift_invariant()
    assert all(loaded.rotating)
    if (name, dtype) != ("gemma3-270m", torch.float16):  # overflows on many a text
        assert select_key_values(loaded, loaded.encoder.encode(DOCUMENT), 6)
