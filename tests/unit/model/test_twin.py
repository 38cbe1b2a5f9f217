"""Twins of a model, and the switches that are left: local to a thread, counted, or locked."""

from __future__ import annotations

import gc
import weakref
from threading import Barrier, Thread

import pytest
import torch

from dnsity.model import backbone
from dnsity.model.attention import observe_weights
from support import (
    FAMILIES,
    assert_same_keys,
    flat,
    random_ids,
    tiny_base,
    tiny_gist_lm,
    tiny_lora_lm,
)


def in_thread(*calls: object) -> None:
    threads = [Thread(target=call) for call in calls]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_twin_shares_weights_and_nothing_else(family: str) -> None:
    base = tiny_base(family)
    twin = backbone.twin(base, "eager")
    assert [id(p) for p in twin.parameters()] == [id(p) for p in base.parameters()]
    assert (base.config._attn_implementation, twin.config._attn_implementation) == ("sdpa", "eager")
    seen: list[torch.Tensor] = []
    observe_weights(twin, seen.append)
    ids = random_ids(1, 9)
    assert torch.allclose(base(input_ids=ids).logits, twin(input_ids=ids).logits, atol=1e-4)
    assert len(seen) == backbone.num_layers(base)
    base(input_ids=ids)
    assert len(seen) == backbone.num_layers(base), "the base has the twin's hooks"


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_a_twin_has_an_adapter_switch_of_its_own(scope: str) -> None:
    model = tiny_lora_lm("llama", scope)
    ids = random_ids(1, 12)
    gists = model.compress(ids)
    with model.without_adapter():
        twin = model.twin("sdpa")  # made while the adapter is off: as it is now
        off = twin.base(input_ids=ids).logits
        assert torch.equal(off, model.base(input_ids=ids).logits)
    twin = model.twin("sdpa")
    assert_same_keys(twin.compress(ids), gists)
    with twin.without_adapter():
        assert torch.equal(twin.base(input_ids=ids).logits, off)
        assert not torch.equal(model.base(input_ids=ids).logits, off)


def test_the_adapter_is_back_after_any_error_and_asks_for_no_gradient() -> None:
    model = tiny_lora_lm("llama", "document")
    model.requires_grad_(False)
    ids = random_ids(1, 5)
    before = model.base(input_ids=ids).logits
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), model.without_adapter():
            raise error
    assert torch.equal(model.base(input_ids=ids).logits, before)
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.usefixtures("no_grad")
def test_untrained_rows_are_those_of_one_thread() -> None:
    model = tiny_gist_lm("llama")
    model.gist_rows.data += 1
    ids = random_ids(1, 20)
    trained = model.compress(ids)
    inside: list[object] = []

    def another() -> None:
        with torch.no_grad():
            inside.extend(flat(model.compress(ids)))

    with model.untrained():
        in_thread(another)
        untrained = model.compress(ids)
    assert all(map(torch.equal, inside, flat(trained)))
    assert not torch.equal(flat(untrained)[0], flat(trained)[0])
    assert all(map(torch.equal, flat(model.compress(ids)), flat(trained)))


def test_weights_stay_frozen_until_the_last_thread_leaves() -> None:
    model = tiny_gist_lm("llama")
    asked = [weight.requires_grad for weight in model.parameters()]
    entered, left = Barrier(2, timeout=60), Barrier(2, timeout=60)
    found: list[bool] = []

    def first() -> None:
        with model.frozen():
            entered.wait()
        left.wait()

    def second() -> None:
        entered.wait()
        with model.frozen():
            left.wait()
            found.append(any(weight.requires_grad for weight in model.parameters()))

    in_thread(first, second)
    assert found == [False]
    assert [weight.requires_grad for weight in model.parameters()] == asked
    with pytest.raises(KeyboardInterrupt), model.frozen():
        raise KeyboardInterrupt
    assert [weight.requires_grad for weight in model.parameters()] == asked


def test_twins_are_not_kept() -> None:
    twin = weakref.ref(backbone.twin(tiny_base("llama"), "eager"))
    gc.collect()
    assert twin() is None
