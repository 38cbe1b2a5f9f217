"""Method `select`: keep the document's own keys that matter, no training; seconds.

    read      [document] ──▶ keys and values of all its tokens
    repeat    [repeat the text:][document] after them ──▶ attention that each token receives
    keep      the tokens with the most, the same number on average but not in every head (without
              a head of the frame, the first one where it is seen: the attention sink)
    move      their keys to the positions before the question, by the model's own rotary module

Which keys matter is KVzip's rule (2505.23416): the most attention that a token gets while the model
repeats the text, whatever will be asked. All heads share one budget, which is worth more than all
the rest (`model/uneven`).

With `even` every head keeps the same number, as an ordinary cache needs. Then values are fitted by
least squares, so that what the repeating queries read stays the same, as in Attention Matching
(2602.16284), whose bias per slot an ordinary cache cannot hold; instead what is matched is the
document's share of the output, weighed against the query's own tokens, so values make up for lost
attention. Where heads share a budget the same fit does harm (docs/log.md) and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from dnsity.config import Config
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.least_squares import least_squares
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.chunks import after, chunks_for, joined, shares
from dnsity.inference.methods.document import (
    cache_of,
    encode,
    most_slots,
    require_readable,
    require_smaller,
)
from dnsity.model.attention import Attention, moved, observe, windows
from dnsity.model.finite import require_finite
from dnsity.model.uneven import aligned
from dnsity.shapes import KeyValues

RATIO = 2.0
"""Document tokens per slot by default: measured, see docs/no_checkpoint.md."""
_REPEAT = "Repeat the text word for word."
_PASS, _LEAST_PASS, _LEAD = 1024, 64, 8
"""Tokens repeated in one pass, at most and at least, and how many of those before it lead in."""
_QUERIES = 1024
"""Repeating tokens whose queries values are fitted to, spread over the document."""
_BLOCK = 256
"""Queries whose scores exist at once."""
_RIDGE = 0.3
"""Pull towards the tokens' own values, as a share of the mean diagonal. With a weak one values fit
the repeating queries to the last bit and no others: where there are about as many queries as slots,
most of what full context found was lost (docs/log.md)."""


class Select(Config):
    """Keep some of the document's own keys and values.

    Attributes:
        gists: Slots in all.
        ratio: Document tokens per slot (default: 2, or as many as fill half of the window); at 1
            every token is kept: full context.
        even: Keep the same number of slots in every head, as an ordinary cache of other software
            needs; always so on a base with sliding windows.
    """

    name: ClassVar[str] = "select"
    needs_gists: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    gists: int | None = Field(default=None, ge=1)
    ratio: float | None = Field(default=None, ge=1)
    even: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> Select:
        if self.gists is not None and self.ratio is not None:
            raise ValueError(f"give gists={self.gists} or ratio={self.ratio}, not both")
        return self

    def slots(self, tokens: int) -> int:
        """Say how many slots a document of so many tokens gets."""
        return self.gists or math.ceil(tokens / (self.ratio or RATIO))

    @torch.inference_mode()
    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents one by one.

        Args:
            loaded: Model and tokenizer; its gists, if it has any, are not used.
            texts: Documents.
            progress: Called with a document's tokens repeated and in all.

        Raises:
            BadInputError: If a document is empty, not valid Unicode or no larger than its slots
                (unless the ratio is 1), or slots do not fit half of the model's window.
            UnsupportedModelError: If the model's keys cannot be moved.
        """
        return [self._compress(loaded, text, progress) for text in texts]

    def made(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Say whether a gist of this method and model was made with these settings."""
        same = info.n_gist == self._slots(loaded, info.n_context)  # the default was another once
        return same and self.model_dump(mode="json") == info.settings

    def _slots(self, loaded: LoadedModel, tokens: int) -> int:
        given = self.gists or self.ratio
        return self.slots(tokens) if given else min(self.slots(tokens), most_slots(loaded))

    def _most(self, loaded: LoadedModel, chunks: int) -> int | None:
        """Return the most slots a head may hold of one chunk; None: all hold the same number."""
        if self.even or any(windows(loaded.lm.base)):
            return None
        return (loaded.max_positions * 3 // 4 - len(loaded.frame.head)) // chunks

    def _compress(self, loaded: LoadedModel, text: str, progress: Progress) -> GistCache:
        ids = encode(loaded, text)
        slots = self._slots(loaded, len(ids))
        chunks = chunks_for(loaded, len(ids), _beside(loaded) + min(_LEAST_PASS, len(ids)))
        if self.ratio != 1 or len(chunks) > 1:
            require_smaller(loaded, len(ids), slots, slots)
        parts = [
            kept(loaded, ids[start:stop], share, most=self._most(loaded, len(chunks)),
                 progress=after(progress, start, len(ids)))
            for (start, stop), share in zip(chunks, shares(slots, chunks), strict=True)
        ]  # fmt: skip
        return cache_of(
            loaded, text, len(ids), joined(loaded, parts), chunks=len(chunks), method=self.name,
            settings=self.model_dump(mode="json"), uneven=not self.even,
        )  # fmt: skip


def _beside(loaded: LoadedModel) -> int:
    """Count the positions of the request to repeat, and of the tokens that lead in."""
    return len(loaded.frame.question(_REPEAT)) + _LEAD


@torch.inference_mode()
def kept(
    loaded: LoadedModel,
    ids: list[int],
    slots: int,
    *,
    most: int | None = None,
    refit: bool | None = None,
    progress: Progress = ignore_progress,
    read: KeyValues | None = None,
) -> KeyValues:
    """Keep some of a document's keys and values, at positions right after the head.

    Args:
        loaded: Model and tokenizer.
        ids: The document.
        slots: Of a head, on average; at most its tokens.
        most: Slots of a head at most, if all heads share one budget; None: each keeps `slots`.
        refit: Whether values are fitted (None: unless heads share one budget).
        progress: Called with tokens repeated and tokens in all.
        read: Keys and values of head and document, if known.

    Returns:
        Keys and values `[1, K, G, D]` per layer, with empty slots where heads share one budget.

    Raises:
        DnsityError: If it does not fit the window, or the keys cannot be moved.
    """
    head, first = loaded.frame.head, len(loaded.frame.head)
    rotating = loaded.rotating  # refuses a base whose layers cannot be observed
    if most is not None and most <= slots:
        most = None  # no room for differences
    require_readable(loaded, len(ids), _beside(loaded) + min(_LEAST_PASS, len(ids)), Select.name)
    document = read or loaded.lm.read(torch.tensor([[*head, *ids]], device=loaded.device))
    require_finite(document, f"{loaded.name}, the document")
    fits = slots < len(ids) and (most is None if refit is None else refit)
    repeated = _repeat(loaded, ids, document, fits, progress)
    chosen = _chosen(repeated, min(slots, len(ids)), most)
    positions = max(int(own.sum(dim=-1).max()) for own in chosen)
    base, layers = loaded.lm.base, []
    for number, ((keys, values), own) in enumerate(zip(document, chosen, strict=True)):
        length = 0 if number else positions
        k, tokens = aligned(keys[0, :, first:], own, length)
        v, _ = aligned(values[0, :, first:], own, length)
        if rotating[number]:
            there = positions - tokens.shape[1] + torch.arange(tokens.shape[1], device=k.device)
            k = moved(base, number, k, there - tokens)
        if fits:
            seen = repeated[number]
            queries = seen.queries
            if rotating[number]:
                queries = moved(base, number, queries, torch.full(
                    queries.shape[:2], positions - len(ids), device=queries.device))  # fmt: skip
            whole = [torch.cat([part[0, :, :first], slot], dim=1)
                     for part, slot in ((keys, k), (values, v))]  # fmt: skip
            v = _fitted(seen, queries, *whole)[:, first:]
        layers.append((k[None], v[None]))
    return tuple(layers)


def _repeat(
    loaded: LoadedModel, ids: list[int], document: KeyValues, fits: bool, progress: Progress
) -> list[_Repeated]:
    """Let the model repeat a document, and note what each layer attends to.

    Args:
        loaded: Model and tokenizer.
        ids: The document.
        document: Keys and values of head and document.
        fits: Whether values will be fitted to the repeating queries.
        progress: Called with tokens repeated and tokens in all.
    """
    base, first = loaded.lm.base, len(loaded.frame.head)
    asked = loaded.frame.question(_REPEAT)
    repeated = [_Repeated(keys.shape[-2], window, first) for (keys, _), window in
                zip(document, windows(base), strict=True)]  # fmt: skip
    most = min(_PASS, loaded.max_positions - first - len(ids) - _beside(loaded))
    stride = math.ceil(len(ids) / _QUERIES) if fits else None
    with loaded.lm.answering():
        for start in range(0, len(ids), most):
            lead = max(0, start - _LEAD)
            row = asked + ids[lead : start + most]
            skipped = len(asked) + start - lead

            def note(seen: Attention, skipped: int = skipped) -> None:
                repeated[seen.layer].add(seen, skipped, stride)

            observe(base, torch.tensor([row], device=loaded.device), document, note)
            progress(min(start + most, len(ids)), len(ids))
    return repeated


def _chosen(
    repeated: Sequence[_Repeated], slots: int, most: int | None
) -> list[Bool[Tensor, "K N"]]:
    """Choose which tokens of the document each head of each layer keeps.

    Args:
        repeated: Of each layer.
        slots: Of a head on average.
        most: Of a head at most, if one budget is shared by all; None: all keep the same number.
    """
    ranked = [seen.ranked() for seen in repeated]
    if most is None:
        return [_largest(own, slots) for own in ranked]
    for own in ranked:  # no head without a slot, nor with too many
        own.masked_fill_(_largest(own, 1), torch.inf)
        own.masked_fill_(~_largest(own, min(most, own.shape[1])), -torch.inf)
    every = torch.cat([own.flatten().cpu() for own in ranked])
    budget = slots * sum(own.shape[0] for own in ranked)
    kept = torch.zeros_like(every, dtype=torch.bool)
    kept[every.topk(budget).indices] = True
    parts = torch.split(kept, [own.numel() for own in ranked])
    return [part.view_as(own).to(own.device) for part, own in zip(parts, ranked, strict=True)]


def _largest(ranked: Tensor, count: int) -> Bool[Tensor, "K N"]:
    """Say which numbers of each row are its largest."""
    return torch.zeros_like(ranked, dtype=torch.bool).scatter(1, ranked.topk(count).indices, True)


@dataclass(slots=True)
class _Repeated:
    """What one layer does with a document while it is repeated.

    Attributes:
        tokens: Of head and document.
        window: The layer's sliding window, if it has one.
        first: Tokens of the head, which are kept as they are.
        scores: The most attention each token got so far, `[K, N]`.
        parts: For some queries: they, their distance behind the document, the logarithm of their
            own tokens' attention mass, and what they read of the document.
        scale: What products of queries and keys are multiplied by.
    """

    tokens: int
    window: int | None
    first: int = 0
    scores: Tensor | None = None
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = field(default_factory=list)
    scale: float = 1.0

    @property
    def queries(self) -> Tensor:
        """Queries that values are fitted to, `[H, C, D]`."""
        return torch.cat([part[0] for part in self.parts], dim=1)

    def add(self, seen: Attention, skipped: int, stride: int | None) -> None:
        """Take note of one pass, without its first tokens, which repeat nothing.

        Args:
            seen: What the layer attended with.
            skipped: First tokens that repeat nothing.
            stride: Keep the query of every so many tokens to fit values to; None: of none.
        """
        self.scale = seen.scale
        for block in _blocks(skipped, seen.queries.shape[1]):
            scores = _scores(seen.queries[:, block], seen.keys, seen.scale)
            scores.masked_fill_(~seen.visible[block], -torch.inf)
            shares = scores.softmax(dim=-1)[..., : self.tokens]
            most = shares.amax(dim=(1, 2))
            self.scores = most if self.scores is None else torch.maximum(self.scores, most)
            if stride is None:
                continue
            picked = torch.arange(block.stop - block.start)[-block.start % stride :: stride]
            self.parts.append(
                (
                    seen.queries[:, block][:, picked],
                    (picked + block.start).to(shares.device),
                    scores[:, :, picked, self.tokens :].logsumexp(dim=-1),
                    shares[:, :, picked] @ seen.values[:, None, : self.tokens].float(),
                )
            )

    def ranked(self) -> Float[Tensor, "K N"]:
        """Return what each head keeps the document's tokens by, the sink first.

        Of equals the later is kept, which is nearer to the question.
        """
        assert self.scores is not None
        ranked = self.scores + 1e-9 * torch.arange(self.tokens, device=self.scores.device)
        ranked = ranked[:, self.first :]
        if not self.first and (self.window is None or self.tokens < self.window):
            ranked[:, 0] = torch.inf
        return ranked


def _blocks(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, _BLOCK):
        yield slice(first, min(first + _BLOCK, stop))


def _scores(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Scaled products by key head, query head of it, query and key: `[K, H/K, T, S]`."""
    grouped = queries.float().reshape(keys.shape[0], -1, *queries.shape[1:])
    scores: Tensor = grouped @ keys[:, None].float().mT * scale
    return scores


def _fitted(seen: _Repeated, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Change values the least so that the queries read of the slots what they read of the document.

        least squares over queries t:  sum_s share(t, s) value(s) = read(t)

    Args:
        seen: What was read of head and document.
        queries: As if they followed the slots.
        keys: Of head and slots, `[K, H + G, D]`.
        values: Likewise; those of the head stay as they are.
    """
    distance = torch.cat([part[1] for part in seen.parts])
    own = torch.cat([part[2] for part in seen.parts], dim=-1)
    read = torch.cat([part[3] for part in seen.parts], dim=-2)
    scores = _scores(queries, keys, seen.scale)
    if seen.window is not None:
        slots = keys.shape[1]
        gone = slots + distance[:, None] - torch.arange(slots, device=keys.device)
        scores = scores.masked_fill(gone >= seen.window, -torch.inf)
    mass = torch.logaddexp(scores.logsumexp(dim=-1), own)
    shares = (scores - mass[..., None]).exp().flatten(1, 2)
    missing = read.flatten(1, 2) - shares @ values.float()
    shares = shares[..., seen.first :]
    change = least_squares(shares, missing, _RIDGE)
    fitted = values.float()
    fitted[:, seen.first :] += change
    return fitted.to(values.dtype)
