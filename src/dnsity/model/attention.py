"""Attention from outside: what queries a base asks with, and keys moved to other positions.

    observe   run tokens behind a prefix; hand every layer's queries and keys to a function
    moved     keys or queries as if their tokens stood elsewhere, by the model's own rotary module

No model file is copied: queries come from transformers' registry of attention functions, rotation
from the model's own `rotary_emb` and `apply_rotary_pos_emb`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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
from dnsity.shapes import KeyValues, TokenIds

_OBSERVED = "dnsity_observed"
_SHIFT, _PROBE = 3, 4
"""How far a few tokens are moved to see whether keys can be."""


def _same(dtype: torch.dtype) -> float:
    """Return the largest share of the largest number by which moved keys may differ.

    Twice the type's resolution. Measured on SmolLM2-135M, Qwen2.5-Coder-0.5B and Gemma 3 270M: at
    most 2.0e-7 in float32, 0.00091 in float16 and 0.0071 in bfloat16 (0.0156 is allowed). A
    rotation that is wrong by a single position differs by 0.017 and more, none at all by 0.039.
    """
    return 2 * torch.finfo(dtype).eps + 1e-4


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

    def see(layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Any, scale: float) -> None:
        if mask is None:  # the kernel's own causal mask
            visible = torch.ones(tokens, key.shape[2], dtype=torch.bool, device=query.device)
            visible = visible.tril(key.shape[2] - tokens)
        elif mask.dtype == torch.bool:
            visible = mask[0, 0]
        else:
            raise _unobserved(base)
        observer(Attention(layer, query[0], key[0], value[0], visible, scale))

    backbone.body(backbone.twin(base, _OBSERVED))(
        input_ids=input_ids,
        position_ids=positions,
        past_key_values=backbone.segment_cache(base, prefix),
        use_cache=False,
        observer=see,
    )


def _observed(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Show what is attended with, then attend as always."""
    observer = more.pop("observer", None)  # some decoders do not hand it on
    scale = more.get("scaling") or query.shape[-1] ** -0.5
    if observer is not None:
        observer(module.layer_idx, query, key, value, attention_mask, scale)
    return attend(module, query, key, value, attention_mask, **more)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Attend as the library does, by the kernel that can: capped scores and sinks need the eager.

    Args:
        module: The attention layer.
        query: After rotation, `[B, H, T, D]`.
        key: `[B, K, S, D]`.
        value: Likewise.
        attention_mask: True where a query sees a key, for one head or for each of them,
            `[B, 1 or H, T, S]`; None: all earlier ones.
        more: What the layer passes on.
    """
    own = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    if own is not None and (more.get("softcap") or more.get("s_aux") is not None):
        scale = more.get("scaling") or query.shape[-1] ** -0.5
        mask = _added(query, key, attention_mask)
        return own(module, query, key, value, mask, **{**more, "scaling": scale})[0], None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    return output, None


def _added(query: Tensor, key: Tensor, mask: Any) -> Tensor:
    """Turn a mask of the sdpa kernel into what the eager one adds to scores."""
    seen = mask
    if seen is None:
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
        seen = seen.tril(key.shape[2] - query.shape[2])[None, None]
    hidden = torch.finfo(query.dtype).min
    return torch.zeros(seen.shape, dtype=query.dtype, device=seen.device).masked_fill(~seen, hidden)


AttentionInterface.register(_OBSERVED, _observed)
AttentionMaskInterface.register(_OBSERVED, sdpa_mask)  # without it padding would be ignored


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
    found = []
    if not cast(Any, base)._supports_sdpa:  # capped scores, attention sinks
        raise _unobserved(base)
    seen = at_positions(base, (0, _SHIFT)).layers
    if len(seen) != backbone.num_layers(base):
        raise _unobserved(base)
    for layer, (_, keys, _) in enumerate(seen):
        one, other = keys
        by = torch.full(one.shape[:2], _SHIFT, device=one.device)
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


def _unobserved(base: PreTrainedModel) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"base model {base.config.get_text_config().model_type}: what its layers attend with "
        "cannot be observed; use --method refine with a gist checkpoint, or another base"
    )


@dataclass(frozen=True, slots=True)
class AtPositions:
    """What a model makes of the same tokens at other positions; R counts the positions.

    Attributes:
        embedded: What the first layer is given, `[R, T, hidden]`.
        layers: Per layer queries `[R, H, T, D]`, keys and values `[R, K, T, D]`, after rotation.
        logits: Of the last token, `[R, vocab]`.
    """

    embedded: Tensor
    layers: list[tuple[Tensor, Tensor, Tensor]]
    logits: Tensor


def at_positions(base: PreTrainedModel, starts: Sequence[int]) -> AtPositions:
    """Run a few tokens from each of several positions, in one forward pass.

    All rows of a layer get the input of the first row, so that rounding does not add up from layer
    to layer: what differs between rows is what the layer itself makes of their positions. (In
    bfloat16 logits of Qwen2.5-Coder-0.5B would differ by 0.86 of the largest otherwise.)

    Args:
        base: The causal LM.
        starts: Positions of the first token, one for each row.
    """
    embedded: list[Tensor] = []
    seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def see(layer: int, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> None:
        seen[layer] = query, key, value

    def of_first_row(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        hidden = given[0] if given else named["hidden_states"]
        embedded.append(hidden)
        hidden = hidden[:1].expand_as(hidden)
        if given:
            return (hidden, *given[1:]), named
        return given, {**named, "hidden_states": hidden}

    twin = backbone.twin(base, _OBSERVED).eval()
    for layer in cast(Any, backbone.body(twin)).layers:
        layer.register_forward_pre_hook(of_first_row, with_kwargs=True)
    vocab = int(base.config.get_text_config().vocab_size)
    ids = torch.linspace(vocab // 10, vocab - 1, _PROBE, device=base.device).long()
    here = torch.arange(_PROBE, device=base.device)
    positions = torch.tensor(starts, device=base.device)[:, None] + here
    output = twin(
        input_ids=ids.expand(len(starts), -1),
        position_ids=positions,
        attention_mask=torch.ones_like(positions),
        past_key_values=backbone.segment_cache(base, None),
        use_cache=False,
        logits_to_keep=1,
        observer=see,
    )
    return AtPositions(embedded[0], [seen[n] for n in sorted(seen)], output.logits[:, -1])


def _tried(base: PreTrainedModel, layer: int, keys: Tensor, by: Tensor) -> Tensor | None:
    try:
        return moved(base, layer, keys, by)
    except (AttributeError, TypeError, RuntimeError):  # another interface than nearly all have
        return None


def _alike(one: Float[Tensor, "H T D"] | None, other: Float[Tensor, "H T D"]) -> bool:
    if one is None:
        return False
    difference = (one.float() - other.float()).abs().max() / other.float().abs().max()
    return float(difference) < _same(other.dtype)
