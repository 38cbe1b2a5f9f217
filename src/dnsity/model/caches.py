"""The two caches that transformers' attention layers read from and write to.

segment_cache   prefix [fixed] + newest segment [overwritten]   for one forward pass
growing_cache   prefix + every token decoded so far [appended]   for `generate`
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

from dnsity.shapes import KeyOrValue, KeyValues


class SegmentEnd(Exception):
    """Raised inside the last layer that is needed, once its keys and values are known."""


class SegmentLayer(CacheLayerMixin):
    """A cache layer with a fixed prefix that stores the newest segment only.

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
            prefix: Keys and values that precede the segment.
            stop_here: End the forward pass inside this layer's update.
            keep: Store the keys of the segment's last `keep` tokens only; None: of all.
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
        """Store the segment's keys and values; return them after the prefix."""
        self.keys, self.values = (
            x if self.keep is None else x[..., -self.keep :, :].clone()  # a view would keep all
            for x in (key_states, value_states)
        )
        if self.stop_here:
            raise SegmentEnd
        if self.prefix is None:
            return key_states, value_states
        keys, values = self.prefix
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)

    def get_seq_length(self) -> int:
        """Return how many tokens precede the segment."""
        return 0 if self.prefix is None else self.prefix[0].shape[-2]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return key length and offset, as transformers' mask functions expect."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: no maximum."""
        return -1


class GrowingLayer(DynamicLayer):
    """A cache layer that appends in place; transformers' own copies all keys for every token.

    keys  [k1 k2 k3 . . . . .]   room for `SPARE` more; copied only when it is full
    """

    SPARE = 64
    _room: tuple[Tensor, ...] | None = None

    def update(
        self, key_states: KeyOrValue, value_states: KeyOrValue, *_: Any, **__: Any
    ) -> tuple[KeyOrValue, KeyOrValue]:
        """Append; return all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        stored = cast(Tensor, self.keys), cast(Tensor, self.values)
        new = key_states, value_states
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        room = self._room
        # After a selection of batch rows, `keys` and `values` are other tensors than the room.
        if room is None or room[0].shape[-2] < end or room[0].data_ptr() != stored[0].data_ptr():
            room = self._room = tuple(
                x.new_empty((*x.shape[:2], end + self.SPARE, x.shape[-1])) for x in new
            )
            if length:
                room[0][:, :, :length], room[1][:, :, :length] = stored
        room[0][:, :, length:end], room[1][:, :, length:end] = new
        self.keys, self.values = (whole[:, :, :end] for whole in room)
        return self.keys, self.values


def segment_cache(
    prefix: KeyValues | None,
    layers: int,
    *,
    stop_at: int | None = None,
    keep: int | None = None,
) -> Cache:
    """Return the cache of one forward pass.

    Args:
        prefix: Keys and values that precede the segment, of the first layers or of all.
        layers: Decoder layers of the model.
        stop_at: The layer inside which the forward pass ends; None: it runs to the end.
        keep: Store the keys of the segment's last `keep` tokens only; None: of all.
    """
    before = prefix or ()
    return Cache(
        layers=[
            SegmentLayer(before[i] if i < len(before) else None, stop_here=i == stop_at, keep=keep)
            for i in range(layers)
        ]
    )


def growing_cache(base: PreTrainedModel, prefix: KeyValues | None) -> Cache:
    """Return a cache that `generate` may append to; the given tensors are never written to."""
    cache = DynamicCache(config=base.config)
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[number] = GrowingLayer()  # type: ignore[no-untyped-call]
    for number, (keys, values) in enumerate(prefix or ()):
        cache.update(keys, values, number)
    return cache
