"""Attention of gists to the tokens of a document."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dnsity.errors import BadInputError
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Gist
from dnsity.model.attention import observe_weights


def gist_attention(loaded: LoadedModel, text: str) -> Float[Tensor, "L H G N"]:
    """Return how much each gist attends to every document token, while it is compressed.

    Attention shows where information can come from, not how much of it is used.

    Args:
        loaded: Model and tokenizer.
        text: A document that fits one pass.

    Returns:
        Attention weights of every head in every layer except the last, where gists need keys and
        values only. The rest to 1 is attention to the gists.

    Raises:
        BadInputError: If the document cannot be compressed, or is cut into chunks.
    """
    found: list[Tensor] = []
    gists, first = loaded.lm.spec.gists, len(loaded.frame.head)

    def record(weights: Tensor) -> None:
        # A view would keep the whole tensor.
        found.append(weights[0, :, -gists:, first:-gists].clone())

    watched = replace(loaded, lm=loaded.lm.twin("eager"))
    watched.require_shift_invariant()  # its forward passes run before attention is recorded
    observe_weights(watched.lm.base, record)
    info = Gist().compress(watched, [text])[0].info
    if info.n_chunks > 1:
        raise BadInputError(
            f"the document is compressed in {info.n_chunks} chunks; show one of at most "
            f"{loaded.lm.spec.chunk_tokens or loaded.lm.spec.window_tokens:,} tokens"
        )
    # A separate pass over the document (docs/adr/0006-one-segment.md) has no columns for gists.
    widest = max(weights.shape[-1] for weights in found)
    return torch.stack([weights for weights in found if weights.shape[-1] == widest])
