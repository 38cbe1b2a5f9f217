"""A check that a document reaches the answer through the gists only.

    one sequence   document | gists | question
    cut            the gists cannot see the document, so the question has no access to it
    swap           another document replaces it; the question's logits must be identical

Any change of the logits is a leak: a layer that bypasses the attention mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible
from dnsity.model import backbone
from dnsity.model.architectures import require_compressible
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import TokenIds

DOCUMENT_TOKENS, QUESTION_TOKENS = 96, 8


@dataclass(frozen=True, slots=True)
class Leak:
    """The largest change of the question's logits when the document is swapped.

    Attributes:
        past_gists: Change with cut gists; any value except zero is a leak.
        through_gists: Change with normal gists; zero means that the check is inconclusive.
        swaps: Number of pairs of documents.
    """

    past_gists: float
    through_gists: float
    swaps: int

    @property
    def found(self) -> bool:
        """Whether there is a leak; NaN counts as one."""
        return self.past_gists != 0

    @property
    def can_fail(self) -> bool:
        """Whether the document had an effect through the gists."""
        return self.through_gists > 0


@torch.inference_mode()
def leak(model: GistLM, *, swaps: int = 4) -> Leak:
    """Swap documents of random tokens, with cut and normal gists, and compare question logits.

    Args:
        model: The gist model; its adapter is on or off as in answers.
        swaps: Number of pairs of documents.

    Raises:
        UnsupportedModelError: If the base uses positions for more than rotation.
    """
    require_compressible(model.base.config)
    gists = min(model.spec.gists, DOCUMENT_TOKENS // 2)
    layout = Layout((DOCUMENT_TOKENS,), gists, (QUESTION_TOKENS,), model.spec.placement)
    generator = torch.Generator().manual_seed(0)
    vocab = int(model.base.config.get_text_config().vocab_size)
    changes: dict[bool, list[Tensor]] = {True: [], False: []}
    for _ in range(swaps):
        one = torch.randint(vocab, (1, layout.segments()[-1].stop), generator=generator)
        other = one.clone()
        other[:, :DOCUMENT_TOKENS] = torch.randint(vocab, (1, DOCUMENT_TOKENS), generator=generator)
        for cut, found in changes.items():
            before, after = (_question_logits(model, ids, layout, cut) for ids in (one, other))
            found.append((before - after).abs().max())
    past, through = (float(torch.stack(found).max()) for found in changes.values())
    return Leak(past, through, swaps)


def _question_logits(model: GistLM, ids: TokenIds, layout: Layout, cut: bool) -> Tensor:
    """Run one masked sequence `[1, T]` and return the logits of its question, `[1, Q, vocab]`."""
    ids = ids.to(model.device)
    embeds = model.base.get_input_embeddings()(ids)
    seen = visible(layout).to(model.device)
    gists = slice(DOCUMENT_TOKENS, DOCUMENT_TOKENS + layout.gists)
    embeds[:, gists] = model.gist_rows[: layout.gists].to(embeds.dtype)
    if cut:
        seen[gists, :DOCUMENT_TOKENS] = False
    positions = torch.tensor([layout.positions()], device=model.device)
    masks = backbone.masks(model.base, seen[None], positions, positions)
    with model.answering():
        return backbone.masked_logits(model.base, embeds, positions, masks, QUESTION_TOKENS)
