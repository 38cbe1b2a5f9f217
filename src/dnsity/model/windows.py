"""Documents of any length: cut into chunks, compressed pass by pass, their gists joined.

    document   d1 ........ d2000  d2001 ..... d4000       two windows, here of one chunk each
    passes     [h][d1 .. d2000] ──▶ g1 .. g25    [h][d2001 .. d4000] ──▶ g26 .. g50
    joined     g1 .. g25 g26 .. g50                       per layer keys and values [1, K, 50, D]

`h` is the head, the start of the prompt. Chunks of all documents that fill equally many gists may
share a forward pass. With chunking `carry` a later chunk attends to head and earlier gists instead
of its own copy of the head.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dnsity.gist.layout import cut
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import batched, concatenate, first_slots, row_of, shared
from dnsity.shapes import KeyOrValue, KeyValues

CPU_TOKENS = 4096
"""Maximum tokens of a forward pass on a CPU. Four chunks of 9,700 tokens took 50 s of one core and
0.6 GB one by one, and 114 s and 2.3 GB in one batch. Short chunks are faster in a batch."""

Ids: TypeAlias = Int[Tensor, " _tokens"]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One chunk of one document, and how many gists it fills."""

    document: int
    index: int
    ids: Ids
    gists: int


def compress_documents(
    lm: GistLM,
    documents: Sequence[Ids],
    spec: GistSpec,
    head: Sequence[int] = (),
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[KeyValues]:
    """Compress documents of any lengths.

    Without gradients, the memory of a pass does not depend on the number of chunks.

    Args:
        lm: The model.
        documents: Ids of each document, without the head, on the model's device.
        spec: Gists per window and length of a window: those of the model, or fewer gists and a
            shorter window.
        head: Ids that precede every document.
        batch_size: Chunks per forward pass at most, fewer where that is faster. None: the first
            chunks of all documents are one pass, their second chunks another, and so on.
        progress: Called with chunks done and chunks in all, after every pass.

    Returns:
        For each document the keys and values of its gists, `[1, K, chunks * G, D]` per layer.
    """
    if not documents:
        return []
    chunks = [
        _Chunk(number, index, ids[start:stop], gists)
        for number, ids in enumerate(documents)
        for spans, gists in [cut(len(ids), spec)]
        for index, (start, stop) in enumerate(spans)
    ]
    joined = [_Joined() for _ in documents]
    for chunk in chunks:
        joined[chunk.document].slots += chunk.gists
    carry = spec.chunking == "carry"
    head_ids = torch.tensor(head, dtype=torch.long, device=documents[0].device)
    head_keys = None
    if head and carry and any(chunk.index for chunk in chunks):
        head_keys = lm.read(head_ids[None])
    done = 0
    for batch in _passes(chunks, len(head), carry=carry, batch_size=batch_size):
        prefix = None
        if carry and batch[0].index:
            prefix = batched([joined[chunk.document].so_far() for chunk in batch])
            if head_keys is not None:
                prefix = concatenate(shared(head_keys, len(batch)), prefix)
        _compress(lm, batch, head_ids, prefix, joined)
        done += len(batch)
        if progress is not None:
            progress(done, len(chunks))
    return [document.so_far() for document in joined]


def _compress(
    lm: GistLM,
    batch: Sequence[_Chunk],
    head: Ids,
    prefix: KeyValues | None,
    joined: Sequence[_Joined],
) -> None:
    """Compress the chunks of one pass and add each chunk's gists to those of its document."""
    own_head = head[:0] if prefix is not None else head
    ids, mask = _left_padded([torch.cat([own_head, chunk.ids]) for chunk in batch])
    first = [len(head) + chunk.index * chunk.gists for chunk in batch]
    layers = lm.compress(
        ids,
        mask,
        gists=batch[0].gists,
        offset=torch.tensor(first, device=ids.device),
        head=len(own_head),
        prefix=prefix,
    )
    for row, chunk in enumerate(batch):
        joined[chunk.document].add(row_of(layers, row))


def _passes(
    chunks: Sequence[_Chunk], head: int, *, carry: bool, batch_size: int | None
) -> Iterator[Sequence[_Chunk]]:
    """Group chunks into forward passes; a document's chunks stay in order."""
    groups: dict[tuple[int, int | None], list[_Chunk]] = defaultdict(list)
    for chunk in chunks:
        groups[chunk.gists, chunk.index if batch_size is None else None].append(chunk)
    for group in groups.values():
        step = len(group)
        if batch_size is not None:
            step = 1 if carry else _at_once(group, head, batch_size)
        for first in range(0, len(group), step):
            yield group[first : first + step]


def _at_once(chunks: Sequence[_Chunk], head: int, batch_size: int) -> int:
    """Return how many chunks to run in one pass."""
    if chunks[0].ids.device.type != "cpu":
        return batch_size
    longest = head + max(len(chunk.ids) for chunk in chunks)
    return max(1, min(batch_size, CPU_TOKENS // longest))


def _left_padded(rows: list[Ids]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"] | None]:
    """Return a left-padded batch, and its mask if there is padding."""
    ids = pad_sequence(rows, batch_first=True, padding_side="left")
    lengths = torch.tensor([len(row) for row in rows])
    longest = ids.shape[1]
    if bool((lengths == longest).all()):
        return ids, None
    mask = torch.arange(longest)[None] >= longest - lengths[:, None]
    return ids, mask.to(ids.device)


class _Joined:
    """The gists of one document, joined as its chunks are compressed.

    With gradients, the chunks' tensors are concatenated when they are needed. Without, they are
    copied to one allocation for the whole document: a small tensor per chunk fragments memory,
    which took a gigabyte more for a document of 200,000 tokens (docs/log.md).
    """

    def __init__(self) -> None:
        self.slots = 0
        self._filled = 0
        self._parts: list[KeyValues] = []

    def add(self, chunk: KeyValues) -> None:
        """Append the gists of the next chunk."""
        if torch.is_grad_enabled():
            self._parts.append(chunk)
            return
        if not self._parts:
            self._parts = [_allocated(chunk, self.slots)]
        start = self._filled
        self._filled += chunk[0][0].shape[2]
        for whole, part in zip(self._parts[0], chunk, strict=True):
            for joined, new in zip(whole, part, strict=True):
                joined[:, :, start : self._filled] = new

    def so_far(self) -> KeyValues:
        """Return the gists of all chunks added."""
        if len(self._parts) > 1:
            return concatenate(*self._parts)
        return first_slots(self._parts[0], self._filled) if self._filled else self._parts[0]


def _allocated(like: KeyValues, slots: int) -> KeyValues:
    """Allocate the keys and values of a whole document."""

    def empty(one: KeyOrValue) -> KeyOrValue:
        return one.new_empty((1, one.shape[1], slots, one.shape[3]))

    return tuple((empty(keys), empty(values)) for keys, values in like)
