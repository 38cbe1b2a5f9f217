"""Which base models support gists, and why others do not.

Gists need two properties of a model. A token influences later tokens through keys and values only,
so that a mask can hide the document. Positions are relative, so that the document can have negative
positions. The model's config shows both, except for the listed model types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from dnsity.errors import UnsupportedModelError

STATIC_ROPE_TYPES = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotations that depend on the position alone; `dynamic` and `longrope` also use the length."""
ALTERNATIVES = (
    "Use a full-attention RoPE model such as Llama, Qwen2, Qwen3, Mistral, OLMo or Granite."
)
"""Advice in errors about an unsupported base."""

_NORMS = "queries and keys are normalised after rotation, so positions are not relative"
UNSUPPORTED_TYPES = {
    "beam": "full-attention layers scale queries by their position",
    "dbrx": "transformers cannot build it",
    "falcon": "its decoder stores layers and caches differently",
    "hrm_text": "its layers run several times for one token",
    "hunyuan_v1_dense": _NORMS,
    "hunyuan_v1_moe": _NORMS,
    "mllama_text_model": "some layers attend to an image, with a separate cache",
    "modernbert-decoder": "its decoder stores layers differently",
    "moshi": "its logits differ from those of the masked sequence",
}
"""Model types that are unsupported for a reason that their config does not show.

Found by running a small model of every architecture (tests/unit/model/test_every_architecture.py).
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a base model supports gists, with the reason.

    Attributes:
        level: The verdict; dnsity does not compress with a refused base.
        reason: The reason in one sentence.
        loads: Whether a refused base may still be loaded, to answer from full context.
    """

    level: Literal["supported", "warned", "refused"]
    reason: str
    loads: bool = False


def layer_types(config: PreTrainedConfig) -> frozenset[str]:
    """Return the types of attention layers of the text decoder."""
    text = config.get_text_config()
    named = getattr(text, "layer_types", None)
    if named:
        return frozenset(named)
    return frozenset({"full_attention" if sliding_window(config) is None else "sliding_attention"})


def sliding_window(config: PreTrainedConfig) -> int | None:
    """Return the window of the sliding-attention layers in tokens, or None if there are none."""
    text = config.get_text_config()
    named = getattr(text, "layer_types", None)
    if named and "sliding_attention" not in named:
        return None
    window = getattr(text, "sliding_window", None)
    return int(window) if window else None


def layer_windows(config: PreTrainedConfig) -> list[int | None]:
    """Return the sliding window of each layer in tokens; None for full attention."""
    text = config.get_text_config()
    types = getattr(text, "layer_types", None) or ["sliding_attention"] * text.num_hidden_layers
    window = sliding_window(config)
    return [window if each == "sliding_attention" else None for each in types]


def cache_shape(config: PreTrainedConfig) -> tuple[int, int, int]:
    """Return the layers of a KV cache, their key heads, and the width of a head."""
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    key_heads = int(getattr(text, "num_key_value_heads", None) or heads)
    return int(text.num_hidden_layers), key_heads, width


def rope_types(config: PreTrainedConfig) -> frozenset[str]:
    """Return the types of rotary embeddings; empty if the model has none."""
    parameters: Any = getattr(config.get_text_config(), "rope_parameters", None)
    if not parameters:
        return frozenset()
    if "rope_type" in parameters:
        return frozenset({parameters["rope_type"]})
    return frozenset(each["rope_type"] for each in parameters.values() if each)  # None: not rotated


def _scales_by_position(config: PreTrainedConfig) -> str | None:
    """Return the config key that scales attention by absolute position; None if there is none.

    Covers the keys of transformers 5.23; `positions.require_shift_invariant` detects others.
    """
    text = config.get_text_config()
    parameters: Any = getattr(text, "rope_parameters", None) or {}
    kinds = [parameters] if "rope_type" in parameters else list(parameters.values())
    if any((each or {}).get("llama_4_scaling_beta") is not None for each in kinds):
        return "llama_4_scaling_beta"
    return "attn_temperature_tuning" if getattr(text, "attn_temperature_tuning", False) else None


def _unfit_layers(config: PreTrainedConfig) -> str | None:
    """Return why the layers of a decoder do not support gists; None if they do."""
    text = config.get_text_config()
    try:
        cache_layers = {type(layer) for layer in DynamicCache(config=config).layers}
    except Exception as error:  # transformers cannot build a cache for this config
        return f"transformers cannot build its cache ({error!r})"
    foreign = cache_layers - {DynamicLayer, DynamicSlidingWindowLayer}
    if foreign:
        kinds = ", ".join(sorted(kind.__name__ for kind in foreign))
        return (
            f"layers of kind {kinds} carry the document past the gists "
            "(linear, state-space, convolution, indexed or shared layers)"
        )
    other = layer_types(config) - {"full_attention", "sliding_attention"}
    if other:
        return f"layers of kind {', '.join(sorted(other))}, which have not been proven equal"
    if text.model_type in UNSUPPORTED_TYPES:
        return UNSUPPORTED_TYPES[text.model_type]
    if getattr(text, "kv_lora_rank", None):
        return "latent attention (MLA) has not been proven equal"
    return None


def judge(config: PreTrainedConfig) -> Verdict:
    """Decide from the config whether a base model supports gists."""
    try:
        text = config.get_text_config()
    except ValueError:
        return Verdict("refused", f"{config.model_type}: it has no single decoder of text")
    name = text.model_type
    unfit = _unfit_layers(config)
    if unfit:
        return Verdict("refused", f"{name}: {unfit}")
    if not rope_types(config):
        return Verdict("refused", f"{name}: no rotary positions, so the document cannot be moved")
    moving = rope_types(config) - STATIC_ROPE_TYPES
    if moving:
        return Verdict(
            "refused",
            f"{name}: rope type {', '.join(sorted(moving))} is not shift-invariant, "
            "negative document positions would change its answers",
        )
    scaling = _scales_by_position(config)
    if scaling:
        return Verdict(
            "refused",
            f"{name}: {scaling} scales queries by their position, "
            "negative document positions would change its answers",
            loads=True,  # full context uses the positions of training
        )
    window = sliding_window(config)
    if window is not None:
        return Verdict(
            "warned",
            f"{name}: sliding attention, gists see only the last {window} document tokens there "
            f"and fade from those layers {window - 1} tokens into the answer",
        )
    return Verdict("supported", f"{name}: full attention, static rotary positions")


def require_supported(config: PreTrainedConfig) -> Verdict:
    """Return the verdict, or raise.

    Raises:
        UnsupportedModelError: If the model does not support gists, with the reason.
    """
    verdict = judge(config)
    if verdict.level == "refused" and not verdict.loads:
        raise _refusal(verdict)
    return verdict


def require_compressible(config: PreTrainedConfig) -> None:
    """Refuse a base that may be loaded but cannot compress.

    Raises:
        UnsupportedModelError: With the reason.
    """
    verdict = judge(config)
    if verdict.loads:
        raise _refusal(verdict)


def _refusal(verdict: Verdict) -> UnsupportedModelError:
    return UnsupportedModelError(f"base model not supported: {verdict.reason}. {ALTERNATIVES}")
