"""Forward passes of the base model, and all that depends on how transformers runs one.

Everything a gist model does is one operation: run a *segment* of tokens through the base model,
conditioned on a fixed *prefix* of keys and values, and return the new keys and values or logits.

    compress:  segment = document, gist rows,  prefix = nothing, or earlier gists
    answer:    segment = question [answer],    prefix = gists

Where the gist rows need a separate mask or separate weights, they are a second segment.

No [T, T] mask and no logits over the document are built, and no code of transformers is copied.
The caches themselves are in `model/caches.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from dnsity.errors import UnsupportedModelError
from dnsity.model.architectures import ALTERNATIVES, layer_types, sliding_window
from dnsity.model.caches import SegmentEnd, growing_cache, segment_cache
from dnsity.shapes import KeyValues, Logits, PositionIds, TokenIds, Visible

Masks: TypeAlias = Tensor | dict[str, Tensor]
"""4D attention masks: one for all layers, or one per layer type."""


def num_layers(base: PreTrainedModel) -> int:
    """Return the number of decoder layers."""
    return int(base.config.get_text_config().num_hidden_layers)


def body(base: PreTrainedModel) -> nn.Module:
    """Return the decoder without its vocabulary head."""
    return cast(nn.Module, base.get_decoder())


def require_layers(base: PreTrainedModel) -> None:
    """Refuse a decoder that has no list `layers`, as nearly all decoders have.

    Raises:
        UnsupportedModelError: If it has none.
    """
    layers = getattr(body(base), "layers", None)
    if not isinstance(layers, nn.ModuleList) or len(layers) != num_layers(base):
        raise UnsupportedModelError(
            f"base model {base.config.get_text_config().model_type} not supported: its decoder "
            f"keeps its layers in a way of its own. {ALTERNATIVES}"
        )


def last_layer(base: PreTrainedModel) -> nn.Module:
    """Return the last decoder layer."""
    return cast(nn.Module, cast(Any, body(base)).layers[-1])


def is_sharded(base: PreTrainedModel) -> bool:
    """Say whether FSDP2 spreads this model's layers over devices."""
    return isinstance(last_layer(base), FSDPModule)


def ends_early(base: PreTrainedModel) -> bool:
    """Say whether a forward pass for keys may stop inside a layer.

    It may not under gradient checkpointing, which recomputes whole layers, nor under FSDP2.
    """
    # By attribute: the property's name differs between the versions of transformers we support.
    replayed = torch.is_grad_enabled() and any(
        getattr(module, "gradient_checkpointing", False) for module in base.modules()
    )
    return not replayed and not is_sharded(base)


def segment_keys(
    base: PreTrainedModel,
    inputs_embeds: Float[Tensor, "B T hidden"],
    position_ids: PositionIds,
    attention_mask: Bool[Tensor, "B S"] | Masks | None,
    prefix: KeyValues | None = None,
    *,
    unneeded: int = 0,
    keep: int | None = None,
) -> KeyValues:
    """Run a segment and return its keys and values per layer, each `[B, K, T, D]`.

    The pass stops inside the last layer whose keys are needed, because that layer's output is not:
    this saves the layer's attention and MLP, all later layers, and every logit. Under FSDP2 passes
    run to the end, and a layer's weights are gathered for the backward pass only if a gradient
    reaches its output. So the last keys get a term of zero that depends on the output.

    Args:
        base: The causal LM.
        inputs_embeds: Embeddings of the segment's tokens.
        position_ids: Positions; may be negative.
        attention_mask: `[B, S]` padding over prefix and segment, or what `masks` built.
        prefix: Keys and values that precede the segment.
        unneeded: Last layers whose keys are not needed; omitted where passes may stop early.
        keep: Return (and store) only the keys of the last `keep` tokens; None: of all.
    """
    stop_at = max(0, num_layers(base) - 1 - unneeded) if ends_early(base) else None
    cache = segment_cache(prefix, num_layers(base), stop_at=stop_at, keep=keep)
    output = None
    with suppress(SegmentEnd):
        output = body(base)(
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=False,
        )
    reached = cast(Any, cache.layers)[: None if stop_at is None else stop_at + 1]
    found: list[tuple[Tensor, Tensor]] = [(layer.keys, layer.values) for layer in reached]
    if output is not None and is_sharded(base):
        keys, values = found[-1]
        found[-1] = keys + 0 * output.last_hidden_state.sum(), values
    return tuple(found)


def segment_logits(
    base: PreTrainedModel,
    input_ids: Tensor,
    position_ids: PositionIds,
    attention_mask: Bool[Tensor, "B S"] | Masks,
    prefix: KeyValues | None,
    logits_to_keep: int | Tensor,
) -> Logits:
    """Run a segment after a prefix and return logits.

    Args:
        base: The causal LM.
        input_ids: The segment's tokens, `[B, T]`.
        position_ids: Their positions.
        attention_mask: `[B, S]` padding over prefix and segment, or what `masks` built.
        prefix: Keys and values that precede the segment; None: nothing does.
        logits_to_keep: Return logits of the last tokens only (0: of all), or of these indices.
    """
    output = base(
        input_ids=input_ids,
        position_ids=position_ids,
        attention_mask=attention_mask,
        past_key_values=segment_cache(prefix, num_layers(base)),
        use_cache=False,
        logits_to_keep=logits_to_keep,
    )
    return cast(Tensor, output.logits)


def masked_logits(
    base: PreTrainedModel,
    inputs_embeds: Float[Tensor, "B T hidden"],
    position_ids: PositionIds,
    attention_mask: Masks,
    logits_to_keep: int = 0,
) -> Logits:
    """Run one whole sequence under explicit masks: the reference for passes over segments."""
    output = base(
        inputs_embeds=inputs_embeds,
        position_ids=position_ids,
        attention_mask=attention_mask,
        use_cache=False,
        logits_to_keep=logits_to_keep,
    )
    return cast(Tensor, output.logits)


def masks(
    base: PreTrainedModel, visible: Visible, query_positions: PositionIds, key_positions: Tensor
) -> Masks:
    """Convert visibility to the 4D masks that this base model's layers take.

    transformers uses a 4D mask unchanged, so a sliding-attention layer would lose its window. Those
    layers get a separate mask, limited to the window *in positions*. The type depends on the
    kernel: sdpa takes a bool, the eager kernel an additive mask. It would add a bool to the scores
    as 0 and 1 without an error.

    Args:
        base: The causal LM.
        visible: Which key each query may attend to, `[B, T, S]`.
        query_positions: Positions of the T queries, `[B, T]`.
        key_positions: Positions of the S keys, `[B, S]`.
    """

    def to_kernel(seen: Visible) -> Tensor:
        mask = seen[:, None]
        eager = base.config._attn_implementation == "eager"
        return additive(mask, base.dtype) if eager else mask

    window = sliding_window(base.config)
    if window is None:
        return to_kernel(visible)
    near = query_positions[:, :, None] - key_positions[:, None, :] < window
    if "full_attention" not in layer_types(base.config):
        return to_kernel(visible & near)
    return {
        "full_attention": to_kernel(visible),
        "sliding_attention": to_kernel(visible & near),
    }


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a boolean mask to one that the eager kernel adds to the scores.

    Hidden keys get the lowest finite number: -inf would give NaN for queries that see nothing.
    """
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min)


def generated(
    base: PreTrainedModel,
    prefix: KeyValues | None,
    input_ids: TokenIds,
    attention_mask: Bool[Tensor, "B S"],
    **settings: Any,
) -> Int[Tensor, "B new"]:
    """Decode with transformers' `generate` and return the new tokens.

    Args:
        base: The causal LM.
        prefix: Keys and values that precede the prompt; never written to. None: nothing does.
        input_ids: The prompts, left-padded.
        attention_mask: True at real slots of the prefix and real tokens of the prompt.
        settings: Further arguments of `generate`.
    """
    output = cast(Any, base).generate(
        input_ids=input_ids,
        attention_mask=attention_mask,
        past_key_values=growing_cache(base, prefix),
        **settings,
    )
    return cast(Tensor, output)[:, input_ids.shape[1] :]


def enable_checkpointing(base: PreTrainedModel, *, use_reentrant: bool = False) -> None:
    """Enable gradient checkpointing, and keep the segment caches in use under it.

    transformers drops caches under checkpointing, because appending twice would be wrong.
    `SegmentLayer` overwrites, so layers that use it may declare themselves safe.

    Raises:
        ValueError: For reentrant checkpointing, which gives the right loss and wrong gradients.
    """
    if use_reentrant:
        raise ValueError(
            "reentrant gradient checkpointing gives wrong gradients through cached keys and "
            "values; use use_reentrant=False"
        )
    switch_on = getattr(base, "activation_checkpointing_enable", base.gradient_checkpointing_enable)
    switch_on({"use_reentrant": False, "context_fn": _AdapterReplay(base)})
    for module in base.modules():
        if hasattr(module, "gradient_checkpointing") and hasattr(
            module, "_can_checkpoint_with_cache"
        ):
            cast(Any, module)._can_checkpoint_with_cache = True


class _AdapterReplay:
    """Makes checkpointing recompute a layer with the adapter on or off as in the forward pass.

    The recomputation runs inside `backward`, after the end of `adapter_off`, so it would run with
    the adapter on.
    """

    def __init__(self, base: PreTrainedModel) -> None:
        self.base = base

    def __call__(self) -> tuple[Any, Any]:
        """Return the contexts of the forward pass and of its recomputation."""
        off = any(getattr(module, "_disable_adapters", False) for module in self.base.modules())
        return nullcontext(), adapter_off(self.base) if off else nullcontext()


def twin(base: PreTrainedModel, implementation: str) -> PreTrainedModel:
    """Return a copy that shares all weights and uses another attention implementation.

    transformers switches attention for a whole model, which other threads may be using. A
    twin has its own modules, hooks and config, and its adapter is on or off as it is now. No weight
    is copied, so it takes milliseconds (docs/log.md), and nothing has to be restored.
    """
    own = copy.deepcopy(base, {id(t): t for t in (*base.parameters(), *base.buffers())})
    own.set_attn_implementation(implementation)
    return own


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Run with the base model's own weights, without the adapter.

    PEFT's own context manager would also set `requires_grad` of all adapter weights on exit.
    """
    layers = [cast(Any, m) for m in model.modules() if hasattr(m, "_disable_adapters")]
    before = [layer._disable_adapters for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer._disable_adapters = was
