"""Method `select`: keep the document's keys that receive most attention; no training, seconds.

    prefill   [document] ──▶ keys and values of all its tokens
    repeat    [repeat the text:][document] after them ──▶ attention that each token receives
    select    the tokens with the most attention; the number may differ from head to head. A frame
              without a head also keeps the first visible token, the attention sink
    move      their keys to the positions before the question, by the model's own rotary module

The rule is KVzip's (2505.23416): a token counts by the most attention that it receives while the
model repeats the text, independent of the question. All heads share one budget, which improves
answers more than all other choices (`model/uneven`).

With `even` every head keeps the same number of slots, as an ordinary cache requires. Then values
are fitted by least squares so that the attention output of the repeating queries stays the same, as
in Attention Matching (2602.16284). An ordinary cache cannot store that paper's bias per slot. The
fit therefore matches the document's share of the output, weighed against the query's own tokens, so
that values make up for lost attention. With a shared budget the same fit does harm (docs/log.md)
and is not made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool
from pydantic import Field, model_validator
from torch import Tensor

from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.least_squares import least_squares
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.chunks import (
    chunk_spans,
    join_chunks,
    progress_within,
    slots_per_chunk,
)
from dnsity.inference.methods.compressor import Compressor, Phrases
from dnsity.inference.methods.document import (
    cache_of,
    encode,
    most_slots,
    require_readable,
    require_smaller,
)
from dnsity.inference.methods.repetition import (
    Repeated,
    least_positions,
    repeat_document,
    scaled_scores,
)
from dnsity.model.attention import moved, windows
from dnsity.model.finite import require_finite
from dnsity.model.uneven import aligned
from dnsity.shapes import KeyValues

RATIO = 2.0
"""Document tokens per slot by default: measured, see docs/use_your_base.md."""
_RIDGE = 0.3
"""Pull towards the tokens' own values, as a share of the mean diagonal. With a weak pull, values
overfit the repeating queries: with about as many queries as slots, most answers that full context
finds were lost (docs/log.md)."""


def _even_in_words(even: bool) -> str:
    return "same for every head" if even else "shared by all heads"


class Select(Compressor):
    """The document's own keys and values that receive most attention while it is repeated."""

    name = "select"
    heading = "selected keys"
    cost = "seconds"
    advice = "use a lower --ratio or more --gists"
    unshared = frozenset({"gists"})  # here in total, in other methods per window
    phrases: ClassVar[Phrases] = {
        "ratio": "{:g}x".format,
        "even": _even_in_words,
        "gists": "{} slots".format,
    }

    ratio: float | None = Field(
        default=None,
        ge=1,
        description="Document tokens per slot (default: 2, or as many as fill half of the window); "
        "1 keeps every token, which is full context.",
    )
    even: bool = Field(
        default=False,
        description="Keep the same number of slots in every head, as caches of other software "
        "require; always so on a base with sliding windows.",
    )
    gists: int | None = Field(default=None, ge=1, description="Slots in total.")

    @model_validator(mode="after")
    def _one_target(self) -> Select:
        if self.gists is not None and self.ratio is not None:
            raise ValueError(f"give gists={self.gists} or ratio={self.ratio}, not both")
        return self

    def slots(self, tokens: int) -> int:
        """Return the number of slots for a document of this many tokens."""
        return self.gists or math.ceil(tokens / (self.ratio or RATIO))

    @torch.inference_mode()
    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents one by one.

        Args:
            loaded: Model and tokenizer; gist tokens are not used.
            texts: Documents.
            progress: Called with a document's tokens repeated and its tokens in total.

        Raises:
            BadInputError: If a document is empty, not valid Unicode or no larger than its slots
                (unless the ratio is 1), or slots do not fit half of the model's window.
            UnsupportedModelError: If the model's keys cannot be moved.
        """
        return [self._compress(loaded, text, progress) for text in texts]

    def is_current(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether a gist of this method and model was made with these settings."""
        # The default number of slots differed in earlier versions.
        same = info.n_gist == self._slots(loaded, info.n_context)
        return same and super().is_current(loaded, info)

    def _slots(self, loaded: LoadedModel, tokens: int) -> int:
        given = self.gists or self.ratio
        return self.slots(tokens) if given else min(self.slots(tokens), most_slots(loaded))

    def _most_per_head(self, loaded: LoadedModel, chunks: int) -> int | None:
        """Return the maximum slots of a head for one chunk; None: all heads have as many."""
        if self.even or any(windows(loaded.lm.base)):
            return None
        return (loaded.max_positions * 3 // 4 - len(loaded.frame.head)) // chunks

    def _compress(self, loaded: LoadedModel, text: str, progress: Progress) -> GistCache:
        ids = encode(loaded, text)
        slots = self._slots(loaded, len(ids))
        chunks = chunk_spans(loaded, len(ids), least_positions(loaded, len(ids)))
        if self.ratio != 1 or len(chunks) > 1:
            require_smaller(loaded, len(ids), slots, slots)
        parts = [
            select_key_values(
                loaded, ids[start:stop], share, most=self._most_per_head(loaded, len(chunks)),
                progress=progress_within(progress, start, len(ids)),
            )
            for (start, stop), share in zip(chunks, slots_per_chunk(slots, chunks), strict=True)
        ]  # fmt: skip
        return cache_of(
            loaded, text, len(ids), join_chunks(loaded, parts), chunks=len(chunks),
            method=self.name, settings=self.model_dump(mode="json"), uneven=not self.even,
        )  # fmt: skip


@torch.inference_mode()
def select_key_values(
    loaded: LoadedModel,
    ids: list[int],
    slots: int,
    *,
    most: int | None = None,
    progress: Progress = ignore_progress,
    document: KeyValues | None = None,
) -> KeyValues:
    """Return some of a document's keys and values, moved to positions right after the head.

    Values are fitted unless heads share one budget.

    Args:
        loaded: Model and tokenizer.
        ids: Token ids of the document.
        slots: Average slots of a head; at most the document's tokens.
        most: Maximum slots of a head, if all heads share one budget; None: every head has `slots`.
        progress: Called with tokens repeated and tokens in total.
        document: Keys and values of head and document, if they are known already.

    Returns:
        Keys and values `[1, K, G, D]` per layer, with empty slots if heads share one budget.

    Raises:
        DnsityError: If the document does not fit the window, or the keys cannot be moved.
    """
    head, first = loaded.frame.head, len(loaded.frame.head)
    rotating = loaded.rotating  # refuses a base whose layers cannot be observed
    if most is not None and most <= slots:
        most = None  # no room for differences
    require_readable(loaded, len(ids), least_positions(loaded, len(ids)), Select.name)
    if document is None:
        document = loaded.lm.read(torch.tensor([[*head, *ids]], device=loaded.device))
    require_finite(document, f"{loaded.name}, the document")
    fits = most is None and slots < len(ids)
    repeated = repeat_document(loaded, ids, document, fits, progress)
    chosen = _choose_tokens(repeated, min(slots, len(ids)), most)
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
            v = _fit_values(seen, queries, *whole)[:, first:]
        layers.append((k[None], v[None]))
    return tuple(layers)


def _choose_tokens(
    repeated: Sequence[Repeated], slots: int, most: int | None
) -> list[Bool[Tensor, "K N"]]:
    """Return which tokens of the document each head of each layer keeps.

    Args:
        repeated: One record per layer.
        slots: Average slots of a head.
        most: Maximum slots of a head, if all heads share one budget; None: all have as many.
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
    """Return a mask of the `count` largest numbers of each row."""
    return torch.zeros_like(ranked, dtype=torch.bool).scatter(1, ranked.topk(count).indices, True)


def _fit_values(seen: Repeated, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return values with which slots give the queries the same output as the document did.

        least squares over queries t:  sum_s share(t, s) value(s) = output(t)

    The change of the values is as small as possible.

    Args:
        seen: What the layer attended to in head and document.
        queries: Queries at positions right after the slots.
        keys: Keys of head and slots, `[K, H + G, D]`.
        values: Values of head and slots, `[K, H + G, D]`; those of the head do not change.
    """
    distance = torch.cat([sample.distance for sample in seen.samples])
    own = torch.cat([sample.own_mass for sample in seen.samples], dim=-1)
    output = torch.cat([sample.output for sample in seen.samples], dim=-2)
    scores = scaled_scores(queries, keys, seen.scale)
    if seen.window is not None:
        slots = keys.shape[1]
        gone = slots + distance[:, None] - torch.arange(slots, device=keys.device)
        scores = scores.masked_fill(gone >= seen.window, -torch.inf)
    mass = torch.logaddexp(scores.logsumexp(dim=-1), own)
    shares = (scores - mass[..., None]).exp().flatten(1, 2)
    missing = output.flatten(1, 2) - shares @ values.float()
    shares = shares[..., seen.first :]
    change = least_squares(shares, missing, _RIDGE)
    fitted = values.float()
    fitted[:, seen.first :] += change
    return fitted.to(values.dtype)
