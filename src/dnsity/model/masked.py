"""The masked path: document, gists and questions as one sequence under one attention mask.

This is the definition of the model. The two functions of `GistLM`, compress and answer, must give
the same logits and gradients, and `training.path: masked` trains with it.

            d1 d2 G1 G2 q1 a1 q2
        d1   x  .  .  .  .  .  .
        d2   x  x  .  .  .  .  .
        G1   x  x  x  .  .  .  .      gists attend to the document,
        G2   x  x  x  x  .  .  .
        q1   .  .  x  x  x  .  .      questions attend to gists and to themselves,
        a1   .  .  x  x  x  x  .
        q2   .  .  x  x  .  .  x      never to the document or to each other

The mask itself, for every placement, chunking and head, is built by `gist/mask.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dnsity.errors import BadInputError
from dnsity.gist.layout import Layout, cut
from dnsity.gist.mask import visible
from dnsity.gist.spec import GistSpec
from dnsity.model import backbone
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import Logits, TokenIds


def masked_sequence(
    document: Sequence[int],
    questions: Sequence[Sequence[int]],
    spec: GistSpec,
    *,
    head: Sequence[int] = (),
) -> tuple[list[int], Layout]:
    """Join head, chunks of a document with their gists, and questions to one sequence.

        ids   h1 | h1 d1 d2 | 0 0 | h1 d3 d4 | 0 0 | q1 q2 a1 | q1 a1      (0 = gist slot)

    Args:
        document: Ids of the document.
        questions: Ids of each question with its answer.
        spec: Compression settings.
        head: Ids that precede every document. A copy of them precedes each chunk, unless chunks
            attend to earlier ones (`carry`).

    Returns:
        The ids, and the segment that each of them belongs to.
    """
    spans, each = cut(len(document), spec)
    chunks = [
        [*(head if number == 0 or spec.chunking == "independent" else ()), *document[start:stop]]
        for number, (start, stop) in enumerate(spans)
    ]
    layout = Layout(
        tuple(map(len, chunks)),
        each,
        tuple(map(len, questions)),
        spec.placement,
        spec.chunking,
        len(head),
    )
    ids = [*head]
    for chunk in chunks:
        ids += [*chunk, *[0] * each]
    for question in questions:
        ids += question
    return ids, layout


def run_masked(
    lm: GistLM, input_ids: TokenIds, layout: Layout, *, logits_to_keep: int = 0
) -> Logits:
    """Run document, gists and questions as one masked sequence.

    Args:
        lm: The model.
        input_ids: Ids `[B, T]` in the layout's token order; ids at gist slots are ignored.
        layout: The segment of every token; the same for the whole batch.
        logits_to_keep: Return logits of the last tokens only; 0: of all.

    Returns:
        Logits `[B, T or logits_to_keep, vocab]`.

    Raises:
        BadInputError: For scopes whose adapter acts on part of the tokens only, which a single
            sequence cannot express.
    """
    if lm.spec.scope not in ("full", "both"):
        raise BadInputError(f"scope {lm.spec.scope!r} needs the two-pass path")
    embeds = lm.base.get_input_embeddings()(input_ids)
    rows = lm.gist_rows[: layout.gists].to(embeds.dtype)
    parts = [
        rows.expand(embeds.shape[0], -1, -1)
        if segment.kind == "gist"
        else embeds[:, segment.start : segment.stop]
        for segment in layout.segments()
    ]
    positions = torch.tensor([layout.positions()], device=embeds.device)
    return backbone.masked_logits(
        lm.base,
        torch.cat(parts, dim=1),
        positions,
        backbone.masks(lm.base, visible(layout)[None].to(embeds.device), positions, positions),
        logits_to_keep,
    )
