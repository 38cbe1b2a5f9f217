"""Attention of gists follows the mask, and recording it changes nothing."""

from __future__ import annotations

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.gist.layout import split_evenly
from dnsity.inference.gist_attention import gist_attention
from support import assert_same_keys
from tiny import DOCUMENT, GISTS, LONG_DOCUMENT, tiny_gist_model


@pytest.mark.parametrize("placement", ["append", "spread"])
def test_gists_look_where_they_may(placement: str) -> None:
    model = tiny_gist_model(placement=placement)
    weights = gist_attention(model.loaded, DOCUMENT)
    tokens = model.compress(DOCUMENT).info.n_context
    heads = model.loaded.lm.base.config.num_attention_heads
    layers = model.loaded.lm.base.config.num_hidden_layers - 1
    assert weights.shape == (layers, heads, GISTS, tokens)
    assert bool((weights.sum(dim=-1) < 1).all())  # the rest goes to the gists
    for gist, (start, stop) in enumerate(split_evenly(tokens, GISTS)):
        seen = torch.zeros(tokens, dtype=torch.bool)
        seen[slice(start, stop) if placement == "spread" else slice(None)] = True
        assert bool((weights[:, :, gist, seen] > 0).all())
        assert bool((weights[:, :, gist, ~seen] == 0).all())


def test_watching_leaves_the_model_as_it_was() -> None:
    model = tiny_gist_model()
    before = model.compress(DOCUMENT).layers
    kernel = model.loaded.lm.base.config._attn_implementation
    gist_attention(model.loaded, DOCUMENT)
    assert model.loaded.lm.base.config._attn_implementation == kernel
    assert_same_keys(model.compress(DOCUMENT).layers, before)
    attention = model.loaded.lm.base.get_decoder().layers[0].self_attn
    assert not attention._forward_hooks


def test_a_document_in_chunks_is_refused() -> None:
    with pytest.raises(BadInputError, match="chunks"):
        gist_attention(tiny_gist_model().loaded, LONG_DOCUMENT)
