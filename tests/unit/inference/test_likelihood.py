"""Likelihoods of continuations equal teacher forcing of one sequence at a time."""

from __future__ import annotations

import pytest
import torch

from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from support import TOLERANCE
from tiny import DOCUMENT, POSITIONS, tiny_gist_model

QUESTION = "What is the passkey?"
CONTINUATIONS = [" 60479", " the harbour office opens at nine", " 열 시"]


@pytest.fixture(scope="module")
def model() -> GistModel:
    return tiny_gist_model()


@pytest.mark.parametrize("behind", ["gist", "nothing"])
def test_a_batch_gives_what_each_continuation_gives_alone(model: GistModel, behind: str) -> None:
    loaded = model.loaded
    prefix = model.compress(DOCUMENT).layers if behind == "gist" else None
    found = likelihoods(loaded, prefix, QUESTION, CONTINUATIONS)
    asked = Plain(loaded.encoder, loaded.lm.spec.question_template).question(QUESTION)
    for continuation, one in zip(CONTINUATIONS, found, strict=True):
        ids = loaded.encoder.encode(continuation)
        with torch.no_grad():
            logits = loaded.lm.answer(prefix, torch.tensor([asked + ids]))[0].log_softmax(-1)
        at = range(len(asked) - 1, len(asked) + len(ids) - 1)
        expected = sum(float(logits[place, token]) for place, token in zip(at, ids, strict=True))
        assert one.log == pytest.approx(expected, rel=TOLERANCE)
        assert one.tokens == len(ids)


def test_greedy_is_what_greedy_decoding_gives(model: GistModel) -> None:
    loaded = model.loaded
    prefix = model.compress(DOCUMENT).layers
    given = answer(loaded, prefix, [QUESTION], Sampling(max_new_tokens=3))[0]
    asked = Plain(loaded.encoder, loaded.lm.spec.question_template).question(QUESTION)
    with torch.no_grad():
        first = int(loaded.lm.answer(prefix, torch.tensor([asked]))[0, -1].argmax())
    best = loaded.tokenizer.decode([first])
    assert given.text.startswith(best.strip())
    if loaded.encoder.encode(best) == [first]:
        assert likelihoods(loaded, prefix, QUESTION, [best])[0].greedy
    assert not likelihoods(loaded, prefix, QUESTION, [" zzz zzz"])[0].greedy


def test_the_document_matters_and_the_prefix_is_left_alone(model: GistModel) -> None:
    gist, other = model.compress(DOCUMENT), model.compress(DOCUMENT.replace("60479", "11111"))
    before = [tensor.clone() for layer in gist.layers for tensor in layer]
    one = likelihoods(model.loaded, gist.layers, QUESTION, CONTINUATIONS)
    assert one != likelihoods(model.loaded, other.layers, QUESTION, CONTINUATIONS)
    after = [tensor for layer in gist.layers for tensor in layer]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_cannot_be_scored_is_refused(model: GistModel) -> None:
    for continuations in ([], [""], [" a", ""]):
        with pytest.raises(BadInputError, match="continuation is empty"):
            likelihoods(model.loaded, None, QUESTION, continuations)
    with pytest.raises(BadInputError, match="this model takes"):
        likelihoods(model.loaded, None, QUESTION, [" a" * POSITIONS])
