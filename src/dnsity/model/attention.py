"""Attention from outside: what queries a base asks with, and keys moved to other positions.

    observe   run tokens behind a prefix; hand every layer's queries and keys to a function
    moved     keys or queries as if their tokens stood elsewhere, by the model's own rotary module

No model file is copied: queries come from transformers' registry of attention functions, rotation
from the model's own `rotary_emb` and `apply_rotary_pos_emb`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from dnsity.errors import UnsupportedModelError
from dnsity.model import backbone
from dnsity.model.architectures import sliding_window
from dnsity.shapes import KeyOrValue, KeyValues, TokenIds

_OBSERVED = "dnsity_observed"
_SHIFT, _PROBE = 3, 4
"""How far a few tokens are moved to see whether keys can be."""
_SAME = 0.02
"""Largest share of the largest number by which moved keys may differ: rounding of bfloat16."""


@dataclass(frozen=True, slots=True)
class Attention:
    """What one layer attends with.

    Attributes:
        layer: Its number.
        queries: After rotation, `[H, T, D]`.
        keys: Of prefix and own tokens, after rotation, `[K, S, D]`.
        values: Likewise.
        visible: Which keys each query may see, `[T, S]`.
        scale: What scores are multiplied by.
    """

    layer: int
    queries: Float[Tensor, "H T D"]
    keys: Float[Tensor, "K S D"]
    values: Float[Tensor, "K S D"]
    visible: Bool[Tensor, "T S"]
    scale: float


def observe(
    base: PreTrainedModel,
    input_ids: TokenIds,
    prefix: KeyValues,
    observer: Callable[[Attention], None],
) -> None:
    """Run one row of tokens right behind a prefix and show a function every layer's attention."""
    slots, tokens = prefix[0][0].shape[-2], input_ids.shape[1]
    positions = torch.arange(slots, slots + tokens, device=input_ids.device)[None]
    AttentionInterface.register(_OBSERVED, _observed)
    AttentionMaskInterface.register(_OBSERVED, sdpa_mask)  # without it padding would be ignored
    with backbone.attending(base, _OBSERVED):
        backbone.body(base)(
            input_ids=input_ids,
            position_ids=positions,
            past_key_values=backbone.segment_cache(base, prefix),
            use_cache=False,
            observer=observer,
        )


def _observed(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Show what is attended with, then attend as always."""
    observer = more.pop("observer")
    queries, keys = query.shape[2], key.shape[2]
    if attention_mask is None:  # the kernel's own causal mask
        visible = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
        visible = visible.tril(keys - queries)
    else:
        visible = attention_mask[0, 0]
    scale = more.get("scaling") or query.shape[-1] ** -0.5
    observer(Attention(module.layer_idx, query[0], key[0], value[0], visible, scale))
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    return output, None


def windows(base: PreTrainedModel) -> list[int | None]:
    """Name each layer's sliding window in tokens; None where it sees everything."""
    text = base.config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ["sliding_attention"] * text.num_hidden_layers
    window = sliding_window(base.config)
    return [window if kind == "sliding_attention" else None for kind in kinds]


def moved(
    base: PreTrainedModel, layer: int, heads: Float[Tensor, "H T D"], by: Int[Tensor, "H T"]
) -> Float[Tensor, "H T D"]:
    """Turn keys or queries as if their tokens stood `by` positions further on.

    Rotations add up, so taking one back and applying another is one rotation by the difference.
    Only its angle counts: scaled rotary embeddings (YaRN) are in the keys already.

    Args:
        base: The causal LM.
        layer: Which one they are of; some models rotate each kind of layer in its own way.
        heads: After rotation.
        by: Positions, of either sign.
    """
    body = cast(Any, backbone.body(base))
    wide = heads.float()[:, None]
    text = base.config.get_text_config()
    kind = () if "rope_type" in text.rope_parameters else (text.layer_types[layer],)
    cos, sin = body.rotary_emb(wide, by, *kind)
    length = (cos**2 + sin**2).sqrt()
    rotate = _attention_file(body, layer).apply_rotary_pos_emb
    turned: Tensor = rotate(wide, wide, cos / length, sin / length)[0]
    return turned[:, 0].to(heads.dtype)


def _attention_file(body: Any, layer: int) -> Any:
    return sys.modules[type(body.layers[layer].self_attn).__module__]


@torch.inference_mode()
def rotating_layers(base: PreTrainedModel) -> list[bool]:
    """Say which layers rotate their keys, by moving a few tokens: names are never trusted.

    Raises:
        UnsupportedModelError: If a layer's keys are neither rotated as `moved` does nor left alone.
    """
    vocab = int(base.config.get_text_config().vocab_size)
    ids = torch.linspace(vocab // 10, vocab - 1, _PROBE, device=base.device).long()[None]
    embeds = base.get_input_embeddings()(ids)
    here = torch.arange(_PROBE, device=base.device)[None]
    still, gone = (
        [keys[0] for keys, _ in backbone.segment_keys(base, embeds, here + by, None)]
        for by in (0, _SHIFT)
    )
    found = []
    for layer, (one, other) in enumerate(zip(still, gone, strict=True)):
        by = torch.full(one.shape[:2], _SHIFT, device=base.device)
        if _alike(_tried(base, layer, one, by), other):
            found.append(True)
        elif _alike(one, other):
            found.append(False)
        else:
            raise UnsupportedModelError(
                f"base model {base.config.get_text_config().model_type}: the keys of layer {layer} "
                "cannot be moved to other positions; use --method refine with a gist checkpoint, "
                "or another base"
            )
    return found


def _tried(base: PreTrainedModel, layer: int, keys: Tensor, by: Tensor) -> Tensor | None:
    try:
        return moved(base, layer, keys, by)
    except (AttributeError, TypeError, RuntimeError):  # another interface than nearly all have
        return None


def _alike(one: KeyOrValue | None, other: KeyOrValue) -> bool:
    return one is not None and float((one - other).abs().max() / other.abs().max()) < _SAME
