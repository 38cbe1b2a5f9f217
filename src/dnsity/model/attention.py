"""Observing attention: inputs and weights of each layer, and keys at other positions.

    observe           run tokens after a prefix; pass queries, keys and values of each layer on
    observe_weights   pass the attention weights of each layer on
    moved             rotate keys or queries to other positions, with the model's own rotary module

No model file is copied. Queries come from transformers' registry of attention functions, rotations
from the model's own `rotary_emb` and `apply_rotary_pos_emb`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
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
from dnsity.model.caches import segment_cache
from dnsity.shapes import KeyValues, TokenIds

_OBSERVED = "dnsity_observed"
_SHIFT, _PROBE = 3, 4
"""Distance and number of tokens of the test that moves keys."""


def _tolerance(dtype: torch.dtype) -> float:
    """Return the largest allowed difference of moved keys, relative to the largest key.

    This is twice the resolution of the type. Measured on SmolLM2-135M, Qwen2.5-Coder-0.5B and
    Gemma 3 270M: at most 2.0e-7 in float32, 0.00091 in float16 and 0.0071 in bfloat16 (0.0156 is
    allowed). A rotation that is wrong by one position differs by at least 0.017, a missing one by
    0.039.
    """
    return 2 * torch.finfo(dtype).eps + 1e-4


@dataclass(frozen=True, slots=True)
class Attention:
    """Inputs of the attention of one layer.

    Attributes:
        layer: Index of the layer.
        queries: Queries after rotation, `[H, T, D]`.
        keys: Keys of prefix and tokens, after rotation, `[K, S, D]`.
        values: Values of prefix and tokens, `[K, S, D]`.
        visible: True where a query may see a key, `[T, S]`.
        scale: Factor of the scores.
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
    """Run one sequence after a prefix, and call a function with each layer's attention inputs."""
    slots, tokens = prefix[0][0].shape[-2], input_ids.shape[1]
    positions = torch.arange(slots, slots + tokens, device=input_ids.device)[None]

    def see(layer: int, query: Tensor, key: Tensor, value: Tensor, mask: Any, scale: float) -> None:
        if mask is None:
            visible = causal(query, key)
        elif mask.dtype == torch.bool:
            visible = mask[0, 0]
        else:
            raise _unobserved(base)
        observer(Attention(layer, query[0], key[0], value[0], visible, scale))

    backbone.body(backbone.twin(base, _OBSERVED))(
        input_ids=input_ids,
        position_ids=positions,
        past_key_values=segment_cache(prefix, backbone.num_layers(base)),
        use_cache=False,
        observer=see,
    )


def _observed(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Pass the inputs to the observer, then compute attention."""
    observer = more.pop("observer", None)  # some decoders do not pass it on
    if observer is not None:
        observer(module.layer_idx, query, key, value, attention_mask, _scale(query, more))
    return attend(module, query, key, value, attention_mask, **more)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Compute attention with sdpa, or with the eager kernel for capped scores and sinks.

    Args:
        module: The attention layer.
        query: Queries after rotation, `[B, H, T, D]`.
        key: Keys after rotation, `[B, K, S, D]`.
        value: Values, `[B, K, S, D]`.
        attention_mask: True where a query may see a key, `[B, 1 or H, T, S]`; None is causal.
        more: Further arguments of the layer.
    """
    eager = getattr(_file_of(module), "eager_attention_forward", None)
    if eager is not None and (more.get("softcap") or more.get("s_aux") is not None):
        visible = causal(query, key)[None, None] if attention_mask is None else attention_mask
        mask = backbone.additive(visible, query.dtype)
        more = {**more, "scaling": _scale(query, more)}
        return eager(module, query, key, value, mask, **more)[0], None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    return output, None


def causal(query: Tensor, key: Tensor) -> Bool[Tensor, "T S"]:
    """Return the causal mask of queries `[B, H, T, D]` that are the last of S tokens."""
    tokens, keys = query.shape[2], key.shape[2]
    return torch.ones(tokens, keys, dtype=torch.bool, device=query.device).tril(keys - tokens)


def _scale(query: Tensor, more: dict[str, Any]) -> float:
    """Return the factor of the scores, which some layers leave to the kernel."""
    return more.get("scaling") or float(query.shape[-1] ** -0.5)


def _file_of(module: Any) -> ModuleType:
    """Return the file of transformers that defines a layer."""
    return sys.modules[type(module).__module__]


AttentionInterface.register(_OBSERVED, _observed)
AttentionMaskInterface.register(_OBSERVED, sdpa_mask)  # without it padding would be ignored


def observe_weights(base: PreTrainedModel, observer: Callable[[Tensor], None]) -> None:
    """Pass every layer's attention weights, `[B, H, T, S]`, to a function from now on.

    Only the eager kernel computes them. The hooks stay, so use a twin. The function copies what it
    needs, because all weights of a document would fill the memory.
    """
    for layer in cast(Any, backbone.body(base)).layers:
        layer.self_attn.register_forward_hook(lambda _, __, output: observer(output[1]))


def windows(base: PreTrainedModel) -> list[int | None]:
    """Return the sliding window of each layer in tokens; None for full attention."""
    text = base.config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ["sliding_attention"] * text.num_hidden_layers
    window = sliding_window(base.config)
    return [window if kind == "sliding_attention" else None for kind in kinds]


def moved(
    base: PreTrainedModel, layer: int, heads: Float[Tensor, "H T D"], by: Int[Tensor, "H T"]
) -> Float[Tensor, "H T D"]:
    """Rotate keys or queries by a number of positions.

    Rotations add up, so rotating by the difference moves a token from one position to another. Only
    the angle is applied: the scale of YaRN is part of the keys already.

    Args:
        base: The causal LM.
        layer: Index of the layer; some models rotate each type of layer differently.
        heads: Keys or queries after rotation.
        by: Number of positions, positive or negative.
    """
    body = cast(Any, backbone.body(base))
    wide = heads.float()[:, None]
    text = base.config.get_text_config()
    kind = () if "rope_type" in text.rope_parameters else (text.layer_types[layer],)
    cos, sin = body.rotary_emb(wide, by, *kind)
    length = (cos**2 + sin**2).sqrt()
    rotate = _file_of(body.layers[layer].self_attn).apply_rotary_pos_emb
    rotated: Tensor = rotate(wide, wide, cos / length, sin / length)[0]
    return rotated[:, 0].to(heads.dtype)


@torch.inference_mode()
def rotating_layers(base: PreTrainedModel) -> list[bool]:
    """Return which layers rotate their keys, measured by moving a few tokens.

    Raises:
        UnsupportedModelError: If a layer's keys neither rotate as in `moved` nor stay the same.
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
        if _nearly_equal(_moved_or_none(base, layer, one, by), other):
            found.append(True)
        elif _nearly_equal(one, other):
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
        f"base model {base.config.get_text_config().model_type}: the queries and keys of its "
        "layers cannot be observed; use --method refine with a gist checkpoint, or another base"
    )


@dataclass(frozen=True, slots=True)
class AtPositions:
    """Results of the same tokens at R different positions.

    Attributes:
        embedded: Input of the first layer, `[R, T, hidden]`.
        layers: Per layer queries `[R, H, T, D]`, keys and values `[R, K, T, D]`, after rotation.
        logits: Logits of the last token, `[R, vocab]`.
    """

    embedded: Tensor
    layers: list[tuple[Tensor, Tensor, Tensor]]
    logits: Tensor


def at_positions(base: PreTrainedModel, starts: Sequence[int]) -> AtPositions:
    """Run the same few tokens at several positions, in one forward pass.

    All rows of a layer get the input of the first row, so that rounding errors do not accumulate
    over layers. Rows then differ only by the effect of the position on the layer. (Otherwise logits
    of Qwen2.5-Coder-0.5B in bfloat16 would differ by 86% of the largest logit.)

    Args:
        base: The causal LM.
        starts: Position of the first token, one per row.
    """
    embedded: list[Tensor] = []
    seen: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def see(layer: int, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> None:
        seen[layer] = query, key, value

    def use_first_row(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        hidden = given[0] if given else named["hidden_states"]
        embedded.append(hidden)
        hidden = hidden[:1].expand_as(hidden)
        if given:
            return (hidden, *given[1:]), named
        return given, {**named, "hidden_states": hidden}

    twin = backbone.twin(base, _OBSERVED).eval()
    for layer in cast(Any, backbone.body(twin)).layers:
        layer.register_forward_pre_hook(use_first_row, with_kwargs=True)
    vocab = int(base.config.get_text_config().vocab_size)
    ids = torch.linspace(vocab // 10, vocab - 1, _PROBE, device=base.device).long()
    here = torch.arange(_PROBE, device=base.device)
    positions = torch.tensor(starts, device=base.device)[:, None] + here
    output = twin(
        input_ids=ids.expand(len(starts), -1),
        position_ids=positions,
        attention_mask=torch.ones_like(positions),
        past_key_values=segment_cache(None, backbone.num_layers(base)),
        use_cache=False,
        logits_to_keep=1,
        observer=see,
    )
    return AtPositions(embedded[0], [seen[n] for n in sorted(seen)], output.logits[:, -1])


def _moved_or_none(base: PreTrainedModel, layer: int, keys: Tensor, by: Tensor) -> Tensor | None:
    try:
        return moved(base, layer, keys, by)
    except (AttributeError, TypeError, RuntimeError):  # an unusual interface
        return None


def _nearly_equal(one: Float[Tensor, "H T D"] | None, other: Float[Tensor, "H T D"]) -> bool:
    if one is None:
        return False
    difference = (one.float() - other.float()).abs().max() / other.float().abs().max()
    return float(difference) < _tolerance(other.dtype)
