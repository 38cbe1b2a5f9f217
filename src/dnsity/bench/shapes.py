"""Models of real shapes with random weights: costs do not depend on the values of weights.

A shape is a name, or the directory of a base, of which only config.json is read. Nothing is
downloaded. The tokenizer is the bundled one, whose ids are in every vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedModel, Qwen3Config
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.inference.loaded import LoadedModel
from dnsity.model import checkpoint
from dnsity.model.base import Quantization, base_config
from dnsity.model.gist_lm import GistLM

POSITIONS = 1 << 15
"""Maximum positions: more than any document of a benchmark has; costs nothing with RoPE."""
_LLAMA3: dict[str, Any] = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip


def _qwen3(hidden: int, layers: int, heads: int, intermediate: int) -> PreTrainedConfig:
    return Qwen3Config(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=8, head_dim=128, intermediate_size=intermediate, vocab_size=151_936,
        tie_word_embeddings=True, max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )  # fmt: skip


def _llama3(hidden: int, layers: int, intermediate: int, *, factor: float, tied: bool) -> Any:
    return LlamaConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=32,
        num_key_value_heads=8, intermediate_size=intermediate, vocab_size=128_256,
        tie_word_embeddings=tied, max_position_embeddings=POSITIONS,
        rope_parameters={**_LLAMA3, "factor": factor},
    )  # fmt: skip


SHAPES: dict[str, Callable[[], PreTrainedConfig]] = {
    "mini": lambda: checkpoint.load("mini")[0].base.config,
    "qwen3-0.6b": lambda: _qwen3(1024, 28, 16, 3072),
    "qwen3-4b": lambda: _qwen3(2560, 36, 32, 9728),
    "llama-3.2-1b": lambda: _llama3(2048, 16, 8192, factor=32.0, tied=True),
    "llama-3.1-8b": lambda: _llama3(4096, 32, 14_336, factor=8.0, tied=False),
}
"""Shapes by name, from their publishers' configurations; `mini` is the bundled model."""


def build(
    shape: str,
    *,
    gists: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    quantization: Quantization | None = None,
) -> LoadedModel:
    """Build a gist model of a shape.

    Args:
        shape: A name in `SHAPES`, or the directory of a base model.
        gists: Gist rows; a method can use fewer.
        device: Device of the model.
        dtype: Compute type.
        quantization: 4-bit linear layers.

    Raises:
        BadInputError: If there is no such shape, its vocabulary is too small for the bundled
            tokenizer, or quantising needs a package that is missing.
        UnsupportedModelError: If gists do not support the base's architecture.
    """
    config = _config(shape)
    tokenizer = checkpoint.tokenizer_of("mini")
    vocabulary = config.get_text_config().vocab_size
    if vocabulary < len(tokenizer):
        raise BadInputError(
            f"shape {shape!r} has a vocabulary of {vocabulary}; the bundled tokenizer, which "
            f"counts document tokens, needs {len(tokenizer)}"
        )
    config.get_text_config().max_position_embeddings = POSITIONS
    # On the device: sampling billions of numbers is slow on a CPU.
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        base: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    if quantization is not None:
        _quantize(base, dtype)
    spec = GistSpec(gists=gists, window_tokens=POSITIONS, scope="full")
    lm = GistLM(base, spec).to(device).eval().requires_grad_(False)
    name = name_of(shape)
    return LoadedModel(lm, tokenizer, name, name)


def name_of(shape: str) -> str:
    """Return the name of a shape in results; for a directory, the last part of its path."""
    return shape if shape in SHAPES else Path(os.path.abspath(shape)).name


def measures(shape: str) -> dict[str, Any]:
    """Return the sizes of a directory's base for results; nothing for named shapes.

    Raises:
        BadInputError: If there is no such shape.
        UnsupportedModelError: If gists do not support the base's architecture.
    """
    if shape in SHAPES:
        return {}
    config = _config(shape).get_text_config()
    names = "hidden_size num_hidden_layers num_attention_heads num_key_value_heads vocab_size"
    found = {name: getattr(config, name, None) for name in names.split()}
    return {"base": {"model_type": config.model_type, **found}}


def _config(shape: str) -> PreTrainedConfig:
    if shape in SHAPES:
        return SHAPES[shape]()
    if not Path(shape).is_dir():
        raise BadInputError(
            f"no shape {shape!r}; known are {', '.join(SHAPES)}, or the directory of a base model"
        )
    config = base_config(shape)
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # describes the weights, which are not loaded
    return config


def _quantize(base: PreTrainedModel, dtype: torch.dtype) -> None:
    """Replace the linear layers; moving them to a GPU converts them to 4 bit."""
    try:
        from bitsandbytes.nn.modules import Linear4bit, Params4bit
    except ImportError as error:
        raise BadInputError("nf4 needs bitsandbytes; pip install dnsity[quant]") from error
    head = base.get_output_embeddings()
    for parent in list(base.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.Linear) and child is not head:
                replaced = cast(Any, Linear4bit)(
                    child.in_features, child.out_features, child.bias is not None,
                    compute_dtype=dtype, quant_type="nf4",
                )  # fmt: skip
                replaced.weight = Params4bit(child.weight.data, False, quant_type="nf4")
                setattr(parent, name, replaced)
