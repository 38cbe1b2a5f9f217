"""No gist of numbers that are none is made or written, and no answer comes of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from dnsity.errors import DnsityError, UnsupportedModelError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from tiny import DOCUMENT, QUESTIONS, tiny_gist_model
from tried import Tried

PROMISE = "numbers"
NONE = (float("nan"), float("inf"), float("-inf"))


def test_no_such_gist_is_written(tried: Tried, model: GistModel, tmp_path: Path) -> None:
    gist, rng = model.compress(DOCUMENT), random.Random(0)
    path = gist.save(tmp_path / "a.gist.safetensors")
    before = path.read_bytes()
    for _ in tried.times(short=50, long=2_000):
        layers = tuple((k.clone(), v.clone()) for k, v in gist.layers)
        number = rng.randrange(len(layers))
        layers[number][rng.randrange(2)].view(-1)[rng.randrange(8)] = rng.choice(NONE)
        with pytest.raises(DnsityError, match=f"layer {number}"):
            GistCache(layers, gist.info).save(path)
        assert path.read_bytes() == before


def test_a_model_that_overflows_anywhere_is_an_error(tried: Tried) -> None:
    """Any weight matrix far too large for float16: an error or finite numbers, nothing between."""
    rng = random.Random(1)
    refused = 0
    for _ in tried.times(short=20, long=500):
        model = tiny_gist_model()
        lm = model.loaded.lm
        matrices = [weight for weight in lm.base.parameters() if weight.ndim == 2]
        with torch.no_grad():
            rng.choice(matrices).mul_(10.0 ** rng.randint(2, 5))
        lm.to(torch.float16)
        try:
            gist = model.compress(DOCUMENT, method=rng.choice(("gist", "select")), gists=4)
            model.ask(gist, QUESTIONS[0])
        except UnsupportedModelError:
            refused += 1
            continue
        assert all(bool(torch.isfinite(t).all()) for layer in gist.layers for t in layer)
    assert refused
