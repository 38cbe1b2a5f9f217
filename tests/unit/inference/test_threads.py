"""One model in several threads; no call changes the state of the process."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig

from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_attention import gist_attention
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Refine
from dnsity.model import attention, checkpoint
from dnsity.model.gist_lm import GistLM
from support import FAMILIES, flat
from tiny import CARD, DOCUMENT, LONG_DOCUMENT, QUESTIONS, tiny_base_model, tiny_gist_model

SHORT = Sampling(max_new_tokens=4)
WARM = Sampling(max_new_tokens=6, temperature=1.5, seed=7)


def adapted() -> GistModel:
    """A model with an adapter that acts on documents."""
    loaded = tiny_gist_model().loaded
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spec = GistSpec(gists=4, window_tokens=64, scope="document")
        lm = GistLM(loaded.lm.base, spec, lora=lora).eval()
    return GistModel(LoadedModel(lm, loaded.tokenizer, "adapted", "tiny-base"))


MODELS: dict[str, Callable[[], GistModel]] = {"plain": tiny_gist_model, "adapter": adapted}


@pytest.mark.parametrize("kind", MODELS)
def test_any_calls_at_once_give_what_each_gives_alone(kind: str) -> None:
    model = MODELS[kind]()
    gist = model.compress(DOCUMENT)
    refine = Refine(gists=4, steps=2, rows=16, start="select")
    calls: list[Callable[[], Any]] = [
        lambda: model.ask(gist, QUESTIONS[0], SHORT).text,
        lambda: model.ask(gist, QUESTIONS[1], WARM).text,
        lambda: "".join(model.stream(gist, QUESTIONS[0], SHORT)),
        lambda: flat(model.compress(LONG_DOCUMENT).layers),
        lambda: flat(model.compress(LONG_DOCUMENT, method="select", gists=9).layers),
        lambda: [gist_attention(model.loaded, DOCUMENT)],
        lambda: flat(model.compress(DOCUMENT, method=refine).layers),
    ]
    asking = [weight.requires_grad for weight in model.loaded.lm.parameters()]
    alone = [call() for call in calls]
    found: list[list[Any]] = [[] for _ in calls]

    def repeat(number: int) -> None:
        for _ in range(3):
            try:
                found[number].append(calls[number]())
            except BaseException as error:
                found[number].append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns far more often
    try:
        threads = [Thread(target=repeat, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    for number, results in enumerate(found):
        for result in results:
            assert not isinstance(result, BaseException), (number, repr(result))
            if isinstance(result, str):
                assert result == alone[number]
            else:
                pairs = zip(result, alone[number], strict=True)
                assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs), number
    lm = model.loaded.lm
    assert lm.base.config._attn_implementation == "sdpa"
    assert [weight.requires_grad for weight in lm.parameters()] == asking


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_select_that_is_stopped_leaves_the_model_as_it_was(
    family: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_base_model(family)
    gist = model.compress(DOCUMENT, method="select", gists=6)
    before = model.ask(gist, QUESTIONS[0], SHORT).text

    def stop(*_: Any, **__: Any) -> None:
        assert model.loaded.lm.base.config._attn_implementation == "sdpa"  # meanwhile, too
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(attention, "sdpa_attention_forward", stop)
        with pytest.raises(error):
            model.compress(DOCUMENT, method="select", gists=6)
    assert model.loaded.lm.base.config._attn_implementation == "sdpa"
    assert model.ask(gist, QUESTIONS[0], SHORT).text == before


def _state() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the state itself is asked for
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "warnings": list(warnings.filters),
        "gradients": torch.is_grad_enabled(),
        "type": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
    }


CALLS: dict[str, Callable[[GistModel, GistCache], Any]] = {
    "greedy": lambda model, gist: model.ask(gist, QUESTIONS, SHORT),
    "sampled": lambda model, gist: model.ask(gist, QUESTIONS[0], WARM),
    "without a seed": lambda model, gist: model.ask(
        gist, QUESTIONS[0], Sampling(max_new_tokens=4, temperature=1.0)
    ),
    "streamed": lambda model, gist: list(model.stream(gist, QUESTIONS[0], WARM)),
    "gist": lambda model, gist: model.compress(DOCUMENT),
    "select": lambda model, gist: model.compress(DOCUMENT, method="select", gists=6),
    "refine": lambda model, gist: model.compress(
        DOCUMENT, method=Refine(gists=4, steps=2, rows=16)
    ),
    "attention": lambda model, gist: gist_attention(model.loaded, DOCUMENT),
    "wrapped": lambda model, gist: adapted(),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_state_of_the_process_stays(call: str, model: GistModel, gist: GistCache) -> None:
    before = _state()
    CALLS[call](model, gist)
    assert _state() == before


def test_loading_uses_up_no_random_numbers(tmp_path: Path) -> None:
    """PEFT initialises an adapter at random before its weights are loaded."""
    plain, model = tiny_gist_model().loaded, adapted().loaded
    base = tmp_path / "base"
    plain.lm.base.save_pretrained(base)
    plain.tokenizer.save_pretrained(base)
    directory = tmp_path / "adapted"
    checkpoint.save(model.lm, model.tokenizer, directory, base_name=str(base), card=CARD)
    before = _state()
    GistModel.from_pretrained(directory)
    GistModel.from_base(base)
    assert _state() == before


def test_two_seeded_threads_do_not_share_random_numbers(model: GistModel, gist: GistCache) -> None:
    def asked(seed: int) -> str:
        how = Sampling(max_new_tokens=12, temperature=2.0, seed=seed)
        return model.ask(gist, QUESTIONS[0], how).text

    alone = {seed: asked(seed) for seed in range(4)}
    assert len(set(alone.values())) == len(alone)
    found: list[tuple[int, str]] = []
    threads = [
        Thread(target=lambda seed=seed: [found.append((seed, asked(seed))) for _ in range(3)])
        for seed in alone
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 12
    assert all(text == alone[seed] for seed, text in found)


def test_a_seed_gives_what_torch_gives_with_it(model: GistModel, gist: GistCache) -> None:
    """The same samples as `generate` with the process seeded."""
    how = Sampling(max_new_tokens=8, temperature=1.5, top_p=0.9, seed=3)
    expected: list[int] = []
    drawn = torch.multinomial

    def spy(*given: Any, generator: torch.Generator, **more: Any) -> torch.Tensor:
        chosen: torch.Tensor = drawn(*given, generator=generator, **more)
        expected.append(int(chosen))
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", spy)
        model.ask(gist, QUESTIONS[0], how)
    assert len(set(expected)) > 1
    arguments = {**how.arguments()}
    processor = arguments["logits_processor"][0]
    scores = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        warped = scores
        for warper in processor.warpers:
            warped = warper(None, warped)
        theirs = int(torch.multinomial(warped.softmax(-1), 1))
    assert int(processor(None, scores).argmax()) == theirs
