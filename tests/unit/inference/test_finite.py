"""A gist with numbers that are not finite is never returned, saved or used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.errors import DnsityError, UnsupportedModelError
from dnsity.inference import cartridge
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.methods import Gist, Refine, Select
from templates import WITH_SYSTEM
from tiny import DOCUMENT, QUESTIONS, tiny_base_model, tiny_gist_model, tiny_tokenizer

METHODS: dict[str, Any] = {
    "gist": Gist(),
    "select": Select(gists=6),
    "select, values fitted": Select(gists=6, even=True),
    "refine": Refine(gists=4, steps=0, rows=16),
}


def overflowing(layer: int, what: str = "v_proj", bias: float = 3e5) -> GistModel:
    """A model in float16 of which one layer exceeds that type."""
    model = tiny_gist_model()
    lm = model.loaded.lm
    projection = getattr(lm.base.get_decoder().layers[layer].self_attn, what)
    with torch.no_grad():
        projection.weight.mul_(bias)
    lm.to(torch.float16)
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", [0, 1])
def test_what_overflows_is_an_error_that_names_the_layer(method: str, layer: int) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"layer {layer} .*float16") as caught:
        overflowing(layer).compress(DOCUMENT, method=METHODS[method])
    assert "compute in bfloat16 or float32" in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_weights_that_are_no_numbers_are_not_blamed_on_the_type(method: str, value: float) -> None:
    model = tiny_gist_model()
    with torch.no_grad():
        model.loaded.lm.base.get_decoder().layers[1].self_attn.k_proj.weight[0, 0] = value
    with pytest.raises(DnsityError, match=r"layer 1 .*download them again") as caught:
        model.compress(DOCUMENT, method=METHODS[method])
    assert "float16" not in str(caught.value)


def test_a_document_may_overflow_where_the_probe_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last check is on what would be returned, whatever made it."""
    model = tiny_gist_model()
    compress = model.loaded.lm.compress

    def one_too_large(*given: Any, **more: Any) -> Any:
        layers = compress(*given, **more)
        layers[2][1][..., 1, 3] = torch.inf
        return layers

    monkeypatch.setattr(model.loaded.lm, "compress", one_too_large)
    with pytest.raises(UnsupportedModelError, match="the values of layer 2 are not finite"):
        model.compress(DOCUMENT)


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (2, 0)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_no_such_gist_is_written(
    place: tuple[int, int], value: float, gist: GistCache, tmp_path: Path
) -> None:
    layers = tuple((k.clone(), v.clone()) for k, v in gist.layers)
    layers[place[0]][place[1]][0, 0, 0, 0] = value
    broken = GistCache(layers, gist.info)
    path = gist.save(tmp_path / "a.gist.safetensors")
    before = path.read_bytes()
    with pytest.raises(DnsityError, match=f"layer {place[0]}"):
        broken.save(path)
    with pytest.raises(DnsityError, match=f"layer {place[0]}"):
        cartridge.export(broken, tmp_path / "adapter", "base")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_gist_that_does_not_fit_the_type_it_is_asked_in() -> None:
    model = tiny_gist_model()
    model.loaded.lm.to(torch.float16)
    gist = model.compress(DOCUMENT)
    layers = tuple((1e5 * k.float(), v.float()) for k, v in gist.layers)
    with pytest.raises(UnsupportedModelError, match="another type: the keys of layer 0"):
        model.ask(GistCache(layers, gist.info), QUESTIONS[0])


def _asked(model: GistModel, gist: GistCache) -> Any:
    return model.ask(gist, QUESTIONS[0])


def _streamed(model: GistModel, gist: GistCache) -> Any:
    return list(model.stream(gist, QUESTIONS[0]))


def _scored(model: GistModel, gist: GistCache) -> Any:
    return likelihoods(model.loaded, gist.layers, QUESTIONS[0], ["nine", "ten"])


@pytest.mark.parametrize("ask", [_asked, _streamed, _scored])
def test_an_answer_of_no_numbers_is_an_error(
    gist: GistCache, ask: Callable[[GistModel, GistCache], Any]
) -> None:
    """It would be an empty one, or the first token of the vocabulary, over and over."""
    model = tiny_gist_model()
    assert model.loaded.fingerprints  # taken before
    with torch.no_grad():
        model.loaded.lm.base.get_decoder().norm.weight[0] = torch.nan
    with pytest.raises(UnsupportedModelError, match=r"not .*numbers"):
        ask(model, gist)


def test_the_beginning_of_a_chat_is_checked() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = WITH_SYSTEM
    base = tiny_base_model("llama").loaded.lm.base
    with torch.no_grad():
        base.get_decoder().layers[0].self_attn.v_proj.weight[:] = torch.nan
    model = GistModel.from_base(base, tokenizer)
    assert model.loaded.frame.head
    with pytest.raises(UnsupportedModelError, match=r"beginning of the chat template.*layer 0"):
        _ = model.loaded.head
