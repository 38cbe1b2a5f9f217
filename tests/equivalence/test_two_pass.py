"""Compress, then answer, gives the logits of the one masked sequence that defines the model."""

from __future__ import annotations

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.gist.layout import Layout
from dnsity.model.masked import run_masked
from support import (
    ATTENTIONS,
    FAMILIES,
    PLACEMENTS,
    SLIDING,
    assert_same,
    compress_chunks,
    gap,
    layout_ids,
    parts,
    random_ids,
    tiny_gist_lm,
)

pytestmark = pytest.mark.usefixtures("no_grad")

# Documents longer than the tiny sliding window (16), and three chunks' gists plus question too.
ONE_CHUNK = (21,)
THREE_CHUNKS = (7, 12, 9)
QUESTIONS = (5, 3)


def assert_two_passes_equal_one(
    family: str, attention: str, chunks: tuple[int, ...], **spec: str
) -> None:
    """Compare the logits of two documents with two questions each, both ways."""
    model = tiny_gist_lm(family, attention, **spec)
    layout = Layout(chunks, model.spec.gists, QUESTIONS, model.spec.placement, model.spec.chunking)
    ids = layout_ids(layout, rows=2)
    expected = parts(run_masked(model, ids, layout), layout, "question")
    gists = compress_chunks(model, parts(ids, layout, "document"))
    for number, question in enumerate(parts(ids, layout, "question")):
        assert_same(model.answer(gists, question), expected[number], f"logits of q{number}")


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_one_chunk(family: str, attention: str, placement: str) -> None:
    assert_two_passes_equal_one(family, attention, ONE_CHUNK, placement=placement)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_three_independent_chunks(family: str, attention: str, placement: str) -> None:
    assert_two_passes_equal_one(family, attention, THREE_CHUNKS, placement=placement)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in SLIDING])
def test_three_chunks_that_carry_earlier_gists(family: str, attention: str, placement: str) -> None:
    assert_two_passes_equal_one(
        family, attention, THREE_CHUNKS, placement=placement, chunking="carry"
    )


@pytest.mark.parametrize("family", SLIDING)
def test_carry_is_refused_with_sliding_attention(family: str) -> None:
    with pytest.raises(BadInputError, match=r"carry.*independent"):
        tiny_gist_lm(family, chunking="carry")


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_fewer_gists_than_trained(family: str, placement: str) -> None:
    model = tiny_gist_lm(family, placement=placement)
    layout = Layout(THREE_CHUNKS, 2, QUESTIONS, model.spec.placement)
    ids = layout_ids(layout)
    gists = compress_chunks(model, parts(ids, layout, "document"), gists=2)
    assert gists[0][0].shape[-2] == 6
    expected = parts(run_masked(model, ids, layout), layout, "question")
    for number, question in enumerate(parts(ids, layout, "question")):
        assert_same(model.answer(gists, question), expected[number])


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_documents_shorter_than_the_gists(placement: str) -> None:
    assert_two_passes_equal_one("llama", "sdpa", (2,), placement=placement)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_questions_in_one_sequence_equal_separate_ones(family: str) -> None:
    model = tiny_gist_lm(family)
    together = Layout(ONE_CHUNK, 4, (5, 3, 7))
    ids = layout_ids(together)
    logits = parts(run_masked(model, ids, together), together, "question")
    prefix = ids[:, : sum(ONE_CHUNK) + 4]
    for number, question in enumerate(parts(ids, together, "question")):
        alone = Layout(ONE_CHUNK, 4, (question.shape[1],))
        single = run_masked(model, torch.cat([prefix, question], dim=1), alone)
        assert_same(logits[number], parts(single, alone, "question")[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_logits_alone_are_the_same(family: str) -> None:
    model = tiny_gist_lm(family)
    gists, question = model.compress(random_ids(2, 20)), random_ids(2, 6, seed=1)
    every = model.answer(gists, question)
    last = model.answer(gists, question, logits_to_keep=2)
    assert_same(last, every[:, -2:])


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_depend_on_the_document_enough_to_compare_them(family: str, placement: str) -> None:
    """The comparisons above would mean nothing if gists, or their order, hardly mattered."""
    model = tiny_gist_lm(family, placement=placement)
    question = random_ids(1, 6, seed=1)
    document = random_ids(1, 20)
    one, other = document.clone(), document.clone()
    other[0, 7] = 3 + (int(other[0, 7]) - 2) % 90
    expected = model.answer(model.compress(one), question)
    # One other document token; measured at least 0.1, the tolerance is 1e-5.
    assert gap(model.answer(model.compress(other), question), expected) > 1e-2
