"""The document reaches the answer through the gists, and through nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible
from dnsity.model import backbone
from dnsity.model.gist_lm import GistLM
from support import (
    ATTENTIONS,
    FAMILIES,
    PLACEMENTS,
    assert_same_keys,
    compress_chunks,
    gap,
    layout_ids,
    parts,
    random_ids,
    tiny_gist_lm,
    tiny_hybrid,
)

Edit = Callable[[Tensor], None]


def cut_gists_from_documents(layout: Layout) -> Edit:
    """Make the edit that hides every document from every gist."""

    def edit(seen: Tensor) -> None:
        for query in layout.segments():
            for key in layout.segments():
                if query.kind == "gist" and key.kind == "document":
                    seen[query.start : query.stop, key.start : key.stop] = False

    return edit


def masked_with(model: GistLM, layout: Layout, embeds: Tensor, edit: Edit | None) -> Tensor:
    """Run the masked sequence on given embeddings, with an edited visibility."""
    seen = visible(layout)
    if edit is not None:
        edit(seen)
    positions = torch.tensor([layout.positions()])
    masks = backbone.masks(model.base, seen[None], positions, positions)
    return backbone.masked_logits(model.base, embeds, positions, masks)


def document_influence(model: GistLM, layout: Layout, edit: Edit | None) -> Tensor:
    """Return the size of d(question logits) / d(embedding) of every document token."""
    embeds = model.base.get_input_embeddings()(layout_ids(layout)).detach().requires_grad_()
    logits = torch.cat(parts(masked_with(model, layout, embeds, edit), layout, "question"), dim=1)
    weight = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    (logits * weight).sum().backward()
    assert embeds.grad is not None
    return torch.cat(parts(embeds.grad, layout, "document"), dim=1).norm(dim=-1)[0]


LAYOUT_KINDS = {
    "append": Layout((9,), 4, (5, 3)),
    "spread": Layout((9,), 4, (5, 3), "spread"),
    "independent chunks": Layout((5, 6), 4, (5, 3)),
    "carry": Layout((5, 6), 4, (5, 3), "append", "carry"),
}


@pytest.mark.parametrize("layout", LAYOUT_KINDS.values(), ids=LAYOUT_KINDS.keys())
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_with_gists_cut_off_no_document_token_matters(
    family: str, attention: str, layout: Layout
) -> None:
    model = tiny_gist_lm(family, attention)
    influence = document_influence(model, layout, cut_gists_from_documents(layout))
    assert (influence == 0).all()  # exactly: a hidden key has probability 0, not just a small one


@pytest.mark.parametrize("layout", LAYOUT_KINDS.values(), ids=LAYOUT_KINDS.keys())
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_through_gists_every_document_token_matters(
    family: str, attention: str, layout: Layout
) -> None:
    assert (document_influence(tiny_gist_lm(family, attention), layout, None) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_leaking_cell_would_be_found(family: str) -> None:
    """The zero above is no accident: one visible document token for one question token shows."""
    layout = LAYOUT_KINDS["append"]
    question = next(s for s in layout.segments() if s.kind == "question")

    def leak(seen: Tensor) -> None:
        cut_gists_from_documents(layout)(seen)
        seen[question.start, 8] = True

    influence = document_influence(tiny_gist_lm(family), layout, leak)
    assert influence[8] > 0


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_with_gists_cut_off_another_document_gives_the_same_bits(family: str) -> None:
    model, layout = tiny_gist_lm(family), LAYOUT_KINDS["append"]
    ids, other = layout_ids(layout), layout_ids(layout)
    other[:, :9] = random_ids(1, 9, seed=7)
    embed = model.base.get_input_embeddings()

    def question_logits(tokens: Tensor, edit: Edit | None) -> Tensor:
        logits = masked_with(model, layout, embed(tokens), edit)
        return torch.cat(parts(logits, layout, "question"), dim=1)

    cut = cut_gists_from_documents(layout)
    assert torch.equal(question_logits(ids, cut), question_logits(other, cut))
    assert gap(question_logits(ids, None), question_logits(other, None)) > 1e-2


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_stored_gists_are_all_that_an_answer_takes_from_a_document(family: str) -> None:
    """Nothing is remembered between calls: compressing other documents changes no answer."""
    model, question = tiny_gist_lm(family), random_ids(1, 6, seed=1)
    gists = model.compress(random_ids(1, 20))
    before = model.answer(gists, question)
    model.answer(model.compress(random_ids(1, 20, seed=5)), question)
    model.read(random_ids(1, 20, seed=6))
    assert torch.equal(model.answer(gists, question), before)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_only_carry_lets_a_chunk_change_the_gists_of_the_next(placement: str) -> None:
    chunks = [random_ids(1, 9), random_ids(1, 8)]
    changed = [random_ids(1, 9, seed=3), chunks[1]]
    for chunking in ("independent", "carry"):
        model = tiny_gist_lm("llama", placement=placement, chunking=chunking)
        second, other = (
            tuple((k[:, :, 4:], v[:, :, 4:]) for k, v in compress_chunks(model, given))
            for given in (chunks, changed)
        )
        if chunking == "independent":
            assert_same_keys(second, other)
        else:
            # In layer 0 keys and values come from the gist rows alone, so test the last layer.
            assert gap(second[-1][1], other[-1][1]) > 1e-2


def test_a_convolution_carries_the_document_round_the_mask() -> None:
    """Why hybrid models are refused: LFM2 ignores the mask in its convolution layers."""
    base = tiny_hybrid()
    layout = Layout((9,), 1, (5,))
    seen = visible(layout)
    cut_gists_from_documents(layout)(seen)
    embeds = base.get_input_embeddings()(layout_ids(layout)).detach().requires_grad_()
    positions = torch.tensor([layout.positions()])
    logits = base(
        inputs_embeds=embeds,
        position_ids=positions,
        attention_mask=seen[None, None],
        use_cache=False,
    ).logits
    logits[:, -5:].sum().backward()
    assert embeds.grad is not None
    assert embeds.grad[0, :9].norm() > 0
