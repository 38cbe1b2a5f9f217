"""A padded batch gives what single runs give, and reading in full what the plain model gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dnsity.model.key_values import select
from support import (
    ATTENTIONS,
    FAMILIES,
    PLACEMENTS,
    VOCAB,
    assert_same,
    assert_same_gradients,
    assert_same_keys,
    gradients_of,
    left_pad,
    random_ids,
    row_of,
    tiny_base,
    tiny_gist_lm,
)

DOCUMENTS = [random_ids(1, tokens) for tokens in (2, 9, 17, 24)]
"""The first is shorter than the gists, the last two are longer than the tiny sliding window."""
QUESTIONS = [random_ids(1, tokens, seed=1) for tokens in (1, 4, 9, 14)]

family_and_attention = pytest.mark.parametrize(
    ("family", "attention"),
    [(f, a) for f in (*FAMILIES, "mistral-sliding") for a in ATTENTIONS],
)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
@family_and_attention
def test_padded_documents_equal_single_ones(family: str, attention: str, placement: str) -> None:
    model = tiny_gist_lm(family, attention, placement=placement)
    batch = model.compress(*left_pad(DOCUMENTS))
    for number, document in enumerate(DOCUMENTS):
        assert_same_keys(row_of(batch, number), model.compress(document))


@pytest.mark.usefixtures("no_grad")
@family_and_attention
def test_padded_questions_equal_single_ones(family: str, attention: str) -> None:
    model = tiny_gist_lm(family, attention)
    gists = model.compress(DOCUMENTS[-1])
    ids, mask = left_pad(QUESTIONS)
    batch = model.answer(select(gists, torch.zeros(len(QUESTIONS), dtype=torch.long)), ids, mask)
    for number, question in enumerate(QUESTIONS):
        assert_same(last(batch, number, question), model.answer(gists, question))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("behind", ["document", "gists", "nothing"])
@family_and_attention
def test_packed_examples_equal_single_ones(family: str, attention: str, behind: str) -> None:
    """None of them sees another, wherever the sliding window ends."""
    model = tiny_gist_lm(family, attention)
    prefix = {"document": model.read, "gists": model.compress, "nothing": lambda ids: None}[behind](
        DOCUMENTS[-1]
    )
    answers = [1, 2, 8, 5]
    rows = [[3, *question[0].tolist()] for question in QUESTIONS]
    found = torch.split(model.answer_packed(prefix, rows, answers), answers)
    for row, length, logits in zip(rows, answers, found, strict=True):
        alone = model.answer(prefix, torch.tensor([row]), logits_to_keep=length + 1)
        assert_same(logits, alone[0, :-1])


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_padded_documents_with_padded_questions_equal_single_ones(
    family: str, placement: str
) -> None:
    model = tiny_gist_lm(family, placement=placement)
    ids, mask = left_pad(QUESTIONS)
    batch = model.answer(model.compress(*left_pad(DOCUMENTS)), ids, mask)
    for number, (document, question) in enumerate(zip(DOCUMENTS, QUESTIONS, strict=True)):
        single = model.answer(model.compress(document), question)
        assert_same(last(batch, number, question), single)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_at_different_offsets_in_one_batch(family: str, placement: str) -> None:
    model = tiny_gist_lm(family, placement=placement)
    ids, mask = left_pad(DOCUMENTS)
    offsets = torch.tensor([0, 8, 4, 12])
    batch = model.compress(ids, mask, offset=offsets)
    for number, document in enumerate(DOCUMENTS):
        single = model.compress(document, offset=int(offsets[number]))
        assert_same_keys(row_of(batch, number), single)


@pytest.mark.usefixtures("no_grad")
@family_and_attention
def test_everything_visible_equals_the_plain_model(family: str, attention: str) -> None:
    """Prefilling a document and answering after it equals the base model on both, joined."""
    model, base = tiny_gist_lm(family, attention), tiny_base(family, attention)
    for document, question in zip(DOCUMENTS, QUESTIONS, strict=True):
        joined = base(input_ids=torch.cat([document, question], dim=1)).logits
        behind = model.answer(model.read(document), question)
        assert_same(behind, joined[:, document.shape[1] :])


@pytest.mark.usefixtures("no_grad")
@family_and_attention
def test_everything_visible_and_padded_equals_the_plain_model(family: str, attention: str) -> None:
    model, base = tiny_gist_lm(family, attention), tiny_base(family, attention)
    document_ids, document_mask = left_pad(DOCUMENTS)
    ids, mask = left_pad(QUESTIONS)
    batch = model.answer(
        model.read(document_ids, document_mask), ids, mask, prefix_mask=document_mask
    )
    for number, (document, question) in enumerate(zip(DOCUMENTS, QUESTIONS, strict=True)):
        joined = base(input_ids=torch.cat([document, question], dim=1)).logits
        assert_same(last(batch, number, question), joined[:, document.shape[1] :])


@pytest.mark.usefixtures("no_grad")
@family_and_attention
def test_no_document_equals_the_plain_model(family: str, attention: str) -> None:
    model, base = tiny_gist_lm(family, attention), tiny_base(family, attention)
    ids, mask = left_pad(QUESTIONS)
    batch = model.answer(None, ids, mask)
    for number, question in enumerate(QUESTIONS):
        plain = base(input_ids=question).logits
        assert torch.equal(model.answer(None, question), plain)  # same kernels: not a bit differs
        assert_same(last(batch, number, question), plain)


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    ("family", "attention"), [("llama", "sdpa"), ("llama", "eager"), ("gemma3", "sdpa")]
)
def test_gradients_of_a_padded_batch_are_the_sum_of_single_ones(
    family: str, attention: str, placement: str
) -> None:
    """Rows that see nothing but padding must give no NaN and no gradient."""
    model = tiny_gist_lm(family, attention, placement=placement)
    weight = torch.randn(VOCAB, generator=torch.Generator().manual_seed(0))

    def score(logits: Tensor) -> Tensor:
        return logits.log_softmax(-1) @ weight

    ids, mask = left_pad(QUESTIONS)
    (score(model.answer(model.compress(*left_pad(DOCUMENTS)), ids, mask)) * mask).sum().backward()
    batch = gradients_of(model)
    model.zero_grad()
    for document, question in zip(DOCUMENTS, QUESTIONS, strict=True):
        score(model.answer(model.compress(document), question)).sum().backward()
    assert_same_gradients(batch, gradients_of(model))


def last(batch: Tensor, row: int, question: Tensor) -> Tensor:
    """Take the logits of one question out of a left-padded batch."""
    return batch[row : row + 1, -question.shape[1] :]
