"""The attention mask: the definition of the bottleneck.

Document tokens see earlier tokens of their chunk. Gists see the document, either all of their chunk
or their span of it. A question sees the gists and itself, never the document:

              append                      spread
         d1 d2 G1 G2 q1              d1 d2 G1 G2 q1
     d1   x  .  .  .  .          d1   x  .  .  .  .
     d2   x  x  .  .  .          d2   x  x  .  .  .
     G1   x  x  x  .  .          G1   x  .  x  .  .
     G2   x  x  x  x  .          G2   .  x  x  x  .
     q1   .  .  x  x  x          q1   .  .  x  x  x

The head (`Layout.head`) is visible to itself and to questions. Each chunk has its own copy of the
head, except that with `carry` later chunks see the head itself, as they see earlier gists.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from dnsity.gist.layout import Layout, Segment
from dnsity.gist.spec import Placement


def visible(layout: Layout) -> Bool[Tensor, "T T"]:
    """Return which tokens (columns) each token (row) may see: True where attention is allowed.

    In sliding-attention layers `backbone.masks` limits this to the window.
    """
    segments = layout.segments()
    total = segments[-1].stop
    seen = torch.zeros(total, total, dtype=torch.bool)
    for query in segments:
        for key in segments:
            if _sees(query, key, layout):
                seen[query.start : query.stop, key.start : key.stop] = True
        if query.kind == "gist":
            document = next(s for s in segments if s.kind == "document" and s.index == query.index)
            own_head = layout.head if query.index == 0 or layout.chunking == "independent" else 0
            real = torch.ones(1, document.length, dtype=torch.bool)
            seen[query.start : query.stop, document.start : document.stop] = gist_sees_document(
                layout.gists, real, layout.placement, own_head
            )[0]
    return seen.tril()


def gist_sees_document(
    gists: int, real: Bool[Tensor, "B T"], placement: Placement, head: int = 0
) -> Bool[Tensor, "B G T"]:
    """Return which tokens of its chunk each gist sees, in a left-padded batch of chunks.

    With `spread`, gist i sees span i of `layout.split_evenly`, counted in real tokens.

    Args:
        gists: Gists per chunk.
        real: True at real tokens.
        placement: `append` or `spread`.
        head: Real tokens of the copy of the head at the start of each chunk; all gists see them.
    """
    if placement == "append":
        return real[:, None].expand(-1, gists, -1)
    length = real.sum(dim=1)[:, None, None] - head
    place = torch.arange(real.shape[1], device=real.device) - (real.shape[1] - length)
    border = torch.arange(gists + 1, device=real.device)[None, :, None] * length // gists
    return ((border[:, :-1] <= place) & (place < border[:, 1:])) | ((-head <= place) & (place < 0))


def _sees(query: Segment, key: Segment, layout: Layout) -> bool:
    """Return whether one segment may see another; causality and spans apply later."""
    if query.kind == "head" or key.kind == "head":
        later = query.index > 0 and layout.chunking == "carry"
        return key.kind == "head" and (query.kind in ("head", "question") or later)
    if query.kind == "question":
        return key.kind == "gist" or (key.kind == "question" and key.index == query.index)
    if key.kind == "gist" and key.index < query.index:
        return layout.chunking == "carry"
    return key.kind != "question" and key.index == query.index
