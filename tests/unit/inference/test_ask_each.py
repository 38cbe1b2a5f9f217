"""Many documents in one batch: each answer equals that of its document alone."""

from __future__ import annotations

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.inference.generate import answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import stacked
from support import tiny_base
from tiny import DOCUMENT, GISTS, LONG_DOCUMENT, QUESTIONS, tiny_gist_model, tiny_tokenizer

DOCUMENTS = [DOCUMENT, LONG_DOCUMENT, DOCUMENT.replace("60479", "11111")]
"""One, several and one window: prefixes of different lengths."""


@pytest.fixture(scope="module")
def model() -> GistModel:
    return tiny_gist_model()


@pytest.fixture(scope="module")
def gists(model: GistModel) -> list[GistCache]:
    return [model.compress(text) for text in DOCUMENTS]


def test_a_batch_gives_what_each_gives_alone(model: GistModel, gists: list[GistCache]) -> None:
    together = model.ask_each(gists, QUESTIONS)
    alone = [model.ask(gist, q) for gist, q in zip(gists, QUESTIONS, strict=True)]
    assert [a.text for a in together] == [a.text for a in alone]
    assert [a.question for a in together] == QUESTIONS


def test_padding_is_hidden_and_takes_no_positions(model: GistModel, gists: list[GistCache]) -> None:
    """Without the mask, questions attend to padding and have larger positions."""
    prefix, mask = stacked([gist.layers for gist in gists])
    assert mask.sum(dim=1).tolist() == [gist.info.n_gist for gist in gists]
    together = answer(model.loaded, prefix, QUESTIONS, prefix_mask=mask)
    unmasked = answer(model.loaded, prefix, QUESTIONS)
    assert [a.text for a in together] == [a.text for a in model.ask_each(gists, QUESTIONS)]
    assert unmasked[0].text != together[0].text
    assert unmasked[1].text == together[1].text, "the longest one has no padding"


def test_the_order_of_documents_does_not_matter(model: GistModel, gists: list[GistCache]) -> None:
    forth = model.ask_each(gists, QUESTIONS)
    back = model.ask_each(gists[::-1], QUESTIONS[::-1])
    assert [a.text for a in back[::-1]] == [a.text for a in forth]


def test_sliding_models_answer_each_on_its_own() -> None:
    tokenizer = tiny_tokenizer()
    base = tiny_base("mistral-sliding", vocab_size=403, eos_token_id=tokenizer.eos_token_id)
    lm = GistLM(base, tiny_gist_model().loaded.lm.spec).eval()
    model = GistModel(LoadedModel(lm, tokenizer, "sliding", "base"))
    gists = [model.compress(text) for text in DOCUMENTS]
    together = model.ask_each(gists, QUESTIONS)
    alone = [model.ask(gist, q) for gist, q in zip(gists, QUESTIONS, strict=True)]
    assert [a.text for a in together] == [a.text for a in alone]


def test_gists_of_one_length_need_no_padding(model: GistModel) -> None:
    same = [model.compress(DOCUMENT), model.compress(DOCUMENT + " More.")]
    prefix, mask = stacked([gist.layers for gist in same])
    assert bool(mask.all())
    assert prefix[0][0].shape[-2] == GISTS
    assert torch.equal(prefix[1][0][1:], same[1].layers[1][0])


def test_one_question_for_each_document(model: GistModel, gists: list[GistCache]) -> None:
    for questions in ([], QUESTIONS[:2]):
        with pytest.raises(BadInputError, match="one question for each"):
            model.ask_each(gists, questions)
    with pytest.raises(BadInputError, match="0 gists"):
        model.ask_each([], [])
