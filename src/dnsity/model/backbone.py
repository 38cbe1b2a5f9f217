"""The one file that knows transformers' caches, masks and gradient checkpointing.

Everything the gist model does is one operation: run a *segment* of tokens through the base model
behind a fixed *prefix* of keys and values, and take the keys and values of the new tokens.

    compress:  segment = document, gist rows,  prefix = nothing, or earlier gists
    answer:    segment = question [answer],    prefix = gists

Where the gist rows need a mask or weights of their own they are a segment behind the document's.

No [T, T] mask and no logits over the document ever exist, and nothing is copied from the library.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeAlias, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

from dnsity.errors import UnsupportedModelError
from dnsity.model.architectures import layer_types, sliding_window
from dnsity.shapes import KeyOrValue, KeyValues, Logits, PaddingMask, PositionIds, Visible

Masks: TypeAlias = Tensor | dict[str, Tensor]
"""4D attention masks: one for all layers, or one per layer type."""


class _SegmentEnd(Exception):
    """Raised inside the last layer once its keys and values are known; the rest is not needed."""


class SegmentLayer(CacheLayerMixin):
    """A cache layer that reads a fixed prefix and remembers the newest segment.

    `update` overwrites instead of appending, so gradient checkpointing may run it twice.
    """

    is_sliding = False

    def __init__(
        self,
        prefix: tuple[KeyOrValue, KeyOrValue] | None = None,
        *,
        stop_here: bool = False,
        keep: int | None = None,
    ) -> None:
        """Set the fixed prefix.

        Args:
            prefix: Keys and values that stand before the segment.
            stop_here: End the forward pass inside this layer's update.
            keep: Remember only the last so many of the segment's keys; None: all.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.prefix = prefix
        self.stop_here = stop_here
        self.keep = keep

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to allocate."""

    def update(
        self, key_states: KeyOrValue, value_states: KeyOrValue, *_: Any, **__: Any
    ) -> tuple[KeyOrValue, KeyOrValue]:
        """Remember the segment's keys and values; return them behind the prefix."""
        self.keys, self.values = (
            x if self.keep is None else x[..., -self.keep :, :].clone()  # a view would keep all
            for x in (key_states, value_states)
        )
        if self.stop_here:
            raise _SegmentEnd
        if self.prefix is None:
            return key_states, value_states
        keys, values = self.prefix
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_seq_length(self) -> int:
        """Return the tokens that stand before the segment."""
        return 0 if self.prefix is None else self.prefix[0].shape[-2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return key length and offset, as transformers' mask functions ask."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: no maximum."""
        return -1


def num_layers(base: PreTrainedModel) -> int:
    """Count the decoder layers that keep keys and values."""
    return int(base.config.get_text_config().num_hidden_layers)


def body(base: PreTrainedModel) -> nn.Module:
    """Return the decoder without its vocabulary head."""
    return cast(nn.Module, base.get_decoder())


def require_layers(base: PreTrainedModel) -> None:
    """Refuse a decoder whose layers are not where nearly all have them.

    Raises:
        UnsupportedModelError: If they are not.
    """
    layers = getattr(body(base), "layers", None)
    if not isinstance(layers, nn.ModuleList) or len(layers) != num_layers(base):
        raise UnsupportedModelError(
            f"base model {base.config.get_text_config().model_type} not supported: its decoder "
            "keeps its layers in a way of its own. Use a full-attention RoPE model such as Llama, "
            "Qwen2, Qwen3, Mistral, OLMo or Granite."
        )


def last_layer(base: PreTrainedModel) -> nn.Module:
    """Return the last decoder layer."""
    return cast(nn.Module, cast(Any, body(base)).layers[-1])


def is_sharded(base: PreTrainedModel) -> bool:
    """Say whether FSDP2 spreads this model's layers over devices."""
    return isinstance(last_layer(base), FSDPModule)


def ends_early(base: PreTrainedModel) -> bool:
    """Say whether a pass for keys may end inside a layer.

    Not under checkpointing, which replays whole layers, nor where FSDP2 shards them.
    """
    # By attribute: the property's name differs between the versions of transformers we support.
    replayed = torch.is_grad_enabled() and any(
        getattr(module, "gradient_checkpointing", False) for module in base.modules()
    )
    return not replayed and not is_sharded(base)


def segment_cache(
    base: PreTrainedModel,
    prefix: KeyValues | None,
    *,
    stop_at: int | None = None,
    keep: int | None = None,
) -> Cache:
    """Build the cache for one segment; a pass ends inside layer `stop_at`."""
    before = prefix or ()
    return Cache(
        layers=[
            SegmentLayer(before[i] if i < len(before) else None, stop_here=i == stop_at, keep=keep)
            for i in range(num_layers(base))
        ]
    )


def segment_keys(
    base: PreTrainedModel,
    inputs_embeds: Float[Tensor, "B T hidden"],
    position_ids: PositionIds,
    attention_mask: PaddingMask | Masks | None,
    prefix: KeyValues | None = None,
    *,
    unread: int = 0,
    keep: int | None = None,
) -> KeyValues:
    """Run a segment and return its keys and values per layer, each `[B, K, T, D]`.

    The pass ends inside the last layer whose keys are read, as nobody needs that layer's output:
    that saves the attention and MLP of one layer, all layers behind it and, always, every logit.
    Where passes do not end early (`ends_early`), sharding gathers a layer's weights for the
    backward pass when a gradient reaches its output: the keys are made to depend on it, by zero.

    Args:
        base: The causal LM.
        inputs_embeds: Embeddings of the segment's tokens.
        position_ids: Positions; may be negative.
        attention_mask: `[B, S]` padding over prefix and segment, or what `masks` built.
        prefix: Keys and values that stand before the segment.
        unread: Last layers whose keys nobody will read; they are left out where passes end early.
        keep: Return, and hold in memory, only the keys of the last so many tokens; None: of all.
    """
    stop_at = max(0, num_layers(base) - 1 - unread) if ends_early(base) else None
    cache = segment_cache(base, prefix, stop_at=stop_at, keep=keep)
    output = None
    with suppress(_SegmentEnd):
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
    attention_mask: PaddingMask | Masks,
    prefix: KeyValues | None,
    logits_to_keep: int | Tensor,
) -> Logits:
    """Run a segment behind a prefix; return logits of its last tokens (0: all), or those named."""
    output = base(
        input_ids=input_ids,
        position_ids=position_ids,
        attention_mask=attention_mask,
        past_key_values=segment_cache(base, prefix),
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
    """Run one whole sequence under explicit masks: the definition the segments must equal."""
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
    """Turn visibility into the 4D masks this base model's layers take.

    A 4D mask is used as it is, so a sliding-attention layer would lose its window: those layers
    get their own mask, cut to the window *in positions* (which is what cache slots count in the
    stored prefix). The form depends on the kernel: bool for sdpa; for eager, which *adds* masks,
    the dtype's lowest finite number where hidden (-inf would give NaN on rows that see nothing,
    and a bool would be added as 0 and 1 without an error).

    Args:
        base: The causal LM.
        visible: Who sees whom, `[B, T, S]`.
        query_positions: Positions of the T queries, `[B, T]`.
        key_positions: Positions of the S keys, `[B, S]`.
    """

    def to_kernel(seen: Visible) -> Tensor:
        mask = seen[:, None]
        if base.config._attn_implementation != "eager":
            return mask
        lowest = torch.finfo(base.dtype).min
        return torch.zeros(mask.shape, dtype=base.dtype, device=mask.device).masked_fill(
            ~mask, lowest
        )

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


class RoomyLayer(DynamicLayer):
    """A cache layer that appends in place, where the library's copies everything for each token.

    keys  [k1 k2 k3 . . . . .]   room for `ROOM` more; copied only when it is full
    """

    ROOM = 64
    _room: tuple[Tensor, ...] | None = None

    def update(
        self, key_states: KeyOrValue, value_states: KeyOrValue, *_: Any, **__: Any
    ) -> tuple[KeyOrValue, KeyOrValue]:
        """Append; return all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held, new = (cast(Tensor, self.keys), cast(Tensor, self.values)), (key_states, value_states)
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        room = self._room
        # Whoever selects rows puts other tensors in the place of ours.
        if room is None or room[0].shape[-2] < end or room[0].data_ptr() != held[0].data_ptr():
            room = self._room = tuple(
                x.new_empty((*x.shape[:2], end + self.ROOM, x.shape[-1])) for x in new
            )
            if length:
                room[0][:, :, :length], room[1][:, :, :length] = held
        room[0][:, :, length:end], room[1][:, :, length:end] = new
        self.keys, self.values = (whole[:, :, :end] for whole in room)
        return self.keys, self.values


def growing_cache(base: PreTrainedModel, prefix: KeyValues | None) -> Cache:
    """Build the cache `generate` may append to; the given tensors are never written to."""
    cache = DynamicCache(config=base.config)
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[number] = RoomyLayer()  # type: ignore[no-untyped-call]
    for number, (keys, values) in enumerate(prefix or ()):
        cache.update(keys, values, number)
    return cache


def enable_checkpointing(base: PreTrainedModel, *, use_reentrant: bool = False) -> None:
    """Switch gradient checkpointing on, keeping the segment caches alive inside it.

    The library drops caches under checkpointing because appending twice would be wrong;
    `SegmentLayer` overwrites, so its layers may declare themselves safe.

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

    The replay runs inside `backward`, long after `adapter_off` was left; without this it would run
    with the adapter on.
    """

    def __init__(self, base: PreTrainedModel) -> None:
        self.base = base

    def __call__(self) -> tuple[Any, Any]:
        """Return the contexts of the forward pass and of its replay."""
        off = any(getattr(module, "_disable_adapters", False) for module in self.base.modules())
        return nullcontext(), adapter_off(self.base) if off else nullcontext()


def twin(base: PreTrainedModel, implementation: str) -> PreTrainedModel:
    """Return a copy that shares all weights and attends through another implementation.

    The library switches attention for a whole model, and other threads may be using that one. A
    twin has modules, hooks and a config of its own, an adapter is on or off as it is now, and no
    weight is copied: milliseconds (measured in docs/log.md), and nothing to restore.
    """
    own = copy.deepcopy(base, {id(t): t for t in (*base.parameters(), *base.buffers())})
    own.set_attn_implementation(implementation)
    return own


def show_attention(base: PreTrainedModel, see: Callable[[Tensor], None]) -> None:
    """Show every layer's attention weights, `[B, H, T, S]`, to a function from now on.

    Only the eager kernel makes them. The hooks stay: meant for a twin. `see` keeps what it wants,
    since all of a document's would fill memory.
    """
    for layer in cast(Any, body(base)).layers:
        layer.self_attn.register_forward_hook(lambda _, __, output: see(output[1]))


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Run with the base model's own weights.

    PEFT's own switch would also let every adapter weight ask for a gradient again afterwards.
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
