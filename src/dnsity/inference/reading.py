"""What gists read: where in a document their attention goes."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dnsity.errors import BadInputError
from dnsity.inference.compress import compress
from dnsity.inference.loaded import LoadedModel
from dnsity.model import backbone


def gist_attention(loaded: LoadedModel, text: str) -> Float[Tensor, "L H G N"]:
    """Compress a document and watch its gists: how much each looks at every document token.

    Attention says where information can come from, not how much of it is used.

    Args:
        loaded: Model and tokenizer.
        text: A document that is read in one pass.

    Returns:
        Attention weights of every head in every layer that gists look through (all but the last,
        of which they only leave keys and values). What is missing to 1 goes to the gists.

    Raises:
        BadInputError: If the document cannot be compressed, or is cut into chunks.
    """
    found: list[Tensor] = []
    gists, first = loaded.lm.spec.gists, len(loaded.frame.head)
    _ = loaded.movable  # the probe of positions runs before attention is watched

    def see(weights: Tensor) -> None:
        found.append(weights[0, :, -gists:, first:-gists].clone())  # a view would keep all rows

    watched = replace(loaded, lm=loaded.lm.twin("eager"))
    _ = watched.movable  # before there is a hook that would watch this probe
    backbone.show_attention(watched.lm.base, see)
    info = compress(watched, [text])[0].info
    if info.n_chunks > 1:
        raise BadInputError(
            f"the document is compressed in {info.n_chunks} chunks; show one of at most "
            f"{loaded.lm.spec.chunk_tokens or loaded.lm.spec.window_tokens:,} tokens"
        )
    # Where the document has a pass of its own (docs/adr/0006-one-segment.md), its rows end there.
    widest = max(weights.shape[-1] for weights in found)
    return torch.stack([weights for weights in found if weights.shape[-1] == widest])
