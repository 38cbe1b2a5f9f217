"""Attention that a document's tokens receive while the model repeats the document."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dnsity.inference.gist_cache import Progress
from dnsity.inference.loaded import LoadedModel
from dnsity.model.attention import Attention, observe, windows
from dnsity.shapes import KeyValues

_REPEAT = "Repeat the text word for word."
_PASS, _LEAST_PASS, _LEAD = 1024, 64, 8
"""Maximum and minimum of tokens repeated in one pass, and earlier tokens given before them."""
_QUERIES = 1024
"""Repeating tokens, spread over the document, whose queries values are fitted to."""
_BLOCK = 256
"""Queries whose scores are in memory at once."""


def _extra_positions(loaded: LoadedModel) -> int:
    """Return the positions of the request to repeat, and of the tokens given before a pass."""
    return len(loaded.frame.question(_REPEAT)) + _LEAD


def least_positions(loaded: LoadedModel, tokens: int) -> int:
    """Return the positions after a document of `tokens` tokens that the shortest pass needs."""
    return _extra_positions(loaded) + min(_LEAST_PASS, tokens)


def repeat_document(
    loaded: LoadedModel, ids: list[int], document: KeyValues, fit_values: bool, progress: Progress
) -> list[Repeated]:
    """Run the model over a repetition of the document and record what each layer attends to.

    Args:
        loaded: Model and tokenizer.
        ids: Token ids of the document.
        document: Keys and values of head and document.
        fit_values: Whether values will be fitted to the repeating queries.
        progress: Called with tokens repeated and tokens in total.
    """
    base, first = loaded.lm.base, len(loaded.frame.head)
    asked = loaded.frame.question(_REPEAT)
    repeated = [Repeated(keys.shape[-2], window, first) for (keys, _), window in
                zip(document, windows(base), strict=True)]  # fmt: skip
    most = min(_PASS, loaded.max_positions - first - len(ids) - _extra_positions(loaded))
    stride = math.ceil(len(ids) / _QUERIES) if fit_values else None
    with loaded.lm.answering():
        for start in range(0, len(ids), most):
            lead = max(0, start - _LEAD)
            tokens = asked + ids[lead : start + most]
            skipped = len(asked) + start - lead

            def note(seen: Attention, skipped: int = skipped) -> None:
                repeated[seen.layer].add(seen, skipped, stride)

            observe(base, torch.tensor([tokens], device=loaded.device), document, note)
            progress(min(start + most, len(ids)), len(ids))
    return repeated


class _Sample(NamedTuple):
    """A sample of the queries of one pass, and their attention.

    Attributes:
        queries: The queries, `[H, C, D]`.
        distance: Their distance from the document's end, `[C]`.
        own_mass: Logarithm of the attention mass of the pass's own tokens, `[K, H/K, C]`.
        output: The document's part of the attention output, `[K, H/K, C, D]`.
    """

    queries: Tensor
    distance: Tensor
    own_mass: Tensor
    output: Tensor


@dataclass(slots=True)
class Repeated:
    """What one layer attends to while the document is repeated.

    Attributes:
        tokens: Tokens of head and document.
        window: The layer's sliding window, if it has one.
        first: Tokens of the head, which are kept unchanged.
        scores: The most attention that each token has received so far, `[K, N]`.
        samples: Queries that values are fitted to.
        scale: Factor of the products of queries and keys.
    """

    tokens: int
    window: int | None
    first: int = 0
    scores: Tensor | None = None
    samples: list[_Sample] = field(default_factory=list)
    scale: float = 1.0

    @property
    def queries(self) -> Tensor:
        """Queries that values are fitted to, `[H, C, D]`."""
        return torch.cat([sample.queries for sample in self.samples], dim=1)

    def add(self, seen: Attention, skipped: int, stride: int | None) -> None:
        """Record one pass, without its first tokens, which repeat nothing.

        Args:
            seen: Queries, keys and values of the layer.
            skipped: First tokens, which repeat nothing.
            stride: Record every `stride`-th query to fit values to; None: no query.
        """
        self.scale = seen.scale
        for block in _blocks(skipped, seen.queries.shape[1]):
            scores = scaled_scores(seen.queries[:, block], seen.keys, seen.scale)
            scores.masked_fill_(~seen.visible[block], -torch.inf)
            shares = scores.softmax(dim=-1)[..., : self.tokens]
            most = shares.amax(dim=(1, 2))
            self.scores = most if self.scores is None else torch.maximum(self.scores, most)
            if stride is None:
                continue
            picked = torch.arange(block.stop - block.start)[-block.start % stride :: stride]
            self.samples.append(
                _Sample(
                    queries=seen.queries[:, block][:, picked],
                    distance=(picked + block.start).to(shares.device),
                    own_mass=scores[:, :, picked, self.tokens :].logsumexp(dim=-1),
                    output=shares[:, :, picked] @ seen.values[:, None, : self.tokens].float(),
                )
            )

    def ranked(self) -> Float[Tensor, "K N"]:
        """Return a score per head and document token, the attention sink's the largest.

        Of equal scores the later token's is larger: it is nearer to the question.
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


def scaled_scores(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Return scaled products by key head, its query heads, query and key: `[K, H/K, T, S]`."""
    grouped = queries.float().reshape(keys.shape[0], -1, *queries.shape[1:])
    scores: Tensor = grouped @ keys[:, None].float().mT * scale
    return scores
