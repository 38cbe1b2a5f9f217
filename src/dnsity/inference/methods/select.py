"""Method `select`: keep the document's own keys that matter, no training; seconds.

    read      [document] ──▶ keys and values of all its tokens
    repeat    [repeat the text:][document] behind them ──▶ attention that each token receives
    keep      per head the G tokens with the most (without a head of the frame, the first one where
              it is seen: the attention sink)
    move      their keys to slots H..H+G-1 after the head, by the model's own rotary module
    refit     values by least squares, so that what the repeating queries read stays the same

Which keys matter is KVzip's rule (2505.23416): the most attention that a token gets while the model
repeats the text, whatever will be asked. Values are refitted as in Attention Matching (2602.16284),
whose bias per slot an ordinary cache cannot hold; instead what is matched is the document's share
of the output, weighed against the query's own tokens, so values make up for lost attention.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from dnsity.config import Config
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.least_squares import least_squares
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.document import cache_of, encode, require_readable, require_smaller
from dnsity.model.attention import Attention, moved, observe, windows
from dnsity.model.finite import require_finite
from dnsity.shapes import KeyValues

RATIO = 10.0
"""Document tokens per slot where neither a number nor a ratio is given."""
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
        ratio: Document tokens per slot; 10 if neither this nor `gists` is given. At 1 every token
            is kept, which equals full context.
        refit: Whether values are fitted.
    """

    name: ClassVar[str] = "select"
    needs_gists: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    gists: int | None = Field(default=None, ge=1)
    ratio: float | None = Field(default=None, ge=1)
    refit: bool = True

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
            progress: Called with tokens repeated and tokens in all, of each document.

        Raises:
            BadInputError: If a document is empty, not valid Unicode, has no more tokens than slots
                (unless the ratio is 1), or does not fit the model's window.
            UnsupportedModelError: If the model's keys cannot be moved.
        """
        return [self._compress(loaded, text, progress) for text in texts]

    def made(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Say whether a gist of this method and model was made with these settings."""
        return self.model_dump(mode="json") == info.settings

    def _compress(self, loaded: LoadedModel, text: str, progress: Progress) -> GistCache:
        ids = encode(loaded, text)
        slots = self.slots(len(ids))
        if self.ratio != 1:
            require_smaller(loaded, len(ids), slots, slots)
        layers = kept(loaded, ids, slots, refit=self.refit, progress=progress)
        return cache_of(
            loaded, text, len(ids), layers, method=self.name, settings=self.model_dump(mode="json")
        )


@torch.inference_mode()
def kept(
    loaded: LoadedModel,
    ids: list[int],
    slots: int,
    *,
    refit: bool = True,
    progress: Progress = ignore_progress,
) -> KeyValues:
    """Keep so many of a document's keys and values per head, at positions right after the head.

    Args:
        loaded: Model and tokenizer.
        ids: The document.
        slots: At most its tokens.
        refit: Whether values are fitted.
        progress: Called with tokens repeated and tokens in all.

    Raises:
        BadInputError: If the document does not fit the model's window.
        UnsupportedModelError: If the model's keys cannot be moved.
    """
    base, head = loaded.lm.base, loaded.frame.head
    first = len(head)
    asked = loaded.frame.question(_REPEAT)
    before = len(asked) + _LEAD
    require_readable(loaded, len(ids), before + min(_LEAST_PASS, len(ids)), Select.name)
    most = min(_PASS, loaded.max_positions - first - len(ids) - before)
    rotates = loaded.rotating
    document = loaded.lm.read(torch.tensor([[*head, *ids]], device=loaded.device))
    require_finite(document, f"{loaded.name}, the document")
    repeated = [_Repeated(keys.shape[-2], window, first) for (keys, _), window in
                zip(document, windows(base), strict=True)]  # fmt: skip
    stride = math.ceil(len(ids) / _QUERIES)
    with loaded.lm.answering():
        for start in range(0, len(ids), most):
            lead = max(0, start - _LEAD)
            row = asked + ids[lead : start + most]
            skipped = len(asked) + start - lead

            def note(seen: Attention, skipped: int = skipped) -> None:
                repeated[seen.layer].add(seen, skipped, stride)

            observe(base, torch.tensor([row], device=loaded.device), document, note)
            progress(min(start + most, len(ids)), len(ids))
    layers = []
    for number, ((keys, values), seen) in enumerate(zip(document, repeated, strict=True)):
        chosen = seen.best(slots)
        by = torch.arange(chosen.shape[1], device=chosen.device) - chosen
        k, v = (_take(tensor[0], chosen) for tensor in (keys, values))
        if rotates[number]:
            k = moved(base, number, k, by)
        if refit and slots < len(ids):
            queries = seen.queries
            if rotates[number]:
                queries = moved(base, number, queries, torch.full(
                    queries.shape[:2], slots - len(ids), device=queries.device))  # fmt: skip
            v = _fitted(seen, queries, k, v)
        layers.append((k[None, :, first:], v[None, :, first:]))
    return tuple(layers)


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

    def add(self, seen: Attention, skipped: int, stride: int) -> None:
        """Take note of one pass, without its first tokens, which repeat nothing."""
        self.scale = seen.scale
        for block in _blocks(skipped, seen.queries.shape[1]):
            scores = _scores(seen.queries[:, block], seen.keys, seen.scale)
            scores.masked_fill_(~seen.visible[block], -torch.inf)
            shares = scores.softmax(dim=-1)[..., : self.tokens]
            most = shares.amax(dim=(1, 2))
            self.scores = most if self.scores is None else torch.maximum(self.scores, most)
            picked = torch.arange(block.stop - block.start)[-block.start % stride :: stride]
            self.parts.append(
                (
                    seen.queries[:, block][:, picked],
                    (picked + block.start).to(shares.device),
                    scores[:, :, picked, self.tokens :].logsumexp(dim=-1),
                    shares[:, :, picked] @ seen.values[:, None, : self.tokens].float(),
                )
            )

    def best(self, slots: int) -> Tensor:
        """Choose tokens per head, in order, `[K, first + slots]`: the frame's head and the best.

        Of equals the later is taken, which is nearer to the question.
        """
        assert self.scores is not None
        ranked = self.scores + 1e-9 * torch.arange(self.tokens, device=self.scores.device)
        if self.first:
            ranked[:, : self.first] = torch.inf
        elif self.window is None or self.tokens < self.window:
            ranked[:, 0] = torch.inf
        return ranked.topk(self.first + slots, dim=-1).indices.sort(dim=-1).values


def _blocks(start: int, stop: int) -> Iterator[slice]:
    for first in range(start, stop, _BLOCK):
        yield slice(first, min(first + _BLOCK, stop))


def _scores(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Scaled products by key head, query head of it, query and key: `[K, H/K, T, S]`."""
    grouped = queries.float().reshape(keys.shape[0], -1, *queries.shape[1:])
    scores: Tensor = grouped @ keys[:, None].float().mT * scale
    return scores


def _take(heads: Tensor, chosen: Tensor) -> Tensor:
    """Pick tokens of every head, `[K, N, D]` by `[K, G]`."""
    return heads.gather(1, chosen[..., None].expand(-1, -1, heads.shape[-1]))


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
