"""Training through two passes gives the gradients of the one masked sequence."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from dnsity.gist.layout import Layout
from dnsity.model import backbone
from dnsity.model.gist_lm import GistLM
from dnsity.model.masked import run_masked
from support import (
    PLACEMENTS,
    assert_same_gradients,
    compress_chunks,
    gradients_of,
    layout_ids,
    parts,
    tiny_base,
    tiny_gist_lm,
    tiny_lora_lm,
)

MODELS = [("llama", "sdpa"), ("llama", "eager"), ("qwen3-tied", "sdpa"), ("gemma3", "sdpa")]
CHUNKS = {"one": (21,), "three": (7, 12, 9)}
QUESTIONS = (5, 3)


def loss_of(logits: list[Tensor], questions: list[Tensor]) -> Tensor:
    """Cross-entropy of every question's next tokens: reaches all logits but the last ones."""
    return torch.stack(
        [
            nn.functional.cross_entropy(one[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
            for one, ids in zip(logits, questions, strict=True)
        ]
    ).sum()


def two_pass_gradients(model: GistLM, layout: Layout) -> dict[str, Tensor]:
    """Take gradients through compress and answer."""
    ids = layout_ids(layout, rows=2)
    gists = compress_chunks(model, parts(ids, layout, "document"))
    questions = parts(ids, layout, "question")
    loss_of([model.answer(gists, q) for q in questions], questions).backward()
    return gradients_of(model)


@cache
def masked_gradients(family: str, attention: str, layout: Layout) -> dict[str, Tensor]:
    """Take gradients through the masked sequence."""
    model = tiny_gist_lm(
        family, attention, placement=layout.placement, chunking=layout.chunking
    ).train()
    ids = layout_ids(layout, rows=2)
    logits = parts(run_masked(model, ids, layout), layout, "question")
    loss_of(logits, parts(ids, layout, "question")).backward()
    return gradients_of(model)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize(("family", "attention"), MODELS)
def test_two_passes_have_the_gradients_of_one(
    family: str, attention: str, chunks: str, placement: str, checkpointing: bool
) -> None:
    model = tiny_gist_lm(family, attention, placement=placement).train()
    if checkpointing:
        model.enable_checkpointing()
    layout = Layout(CHUNKS[chunks], model.spec.gists, QUESTIONS, model.spec.placement)
    expected = masked_gradients(family, attention, layout)
    assert expected.keys() == dict(model.named_parameters()).keys(), "some weight has no gradient"
    assert_same_gradients(two_pass_gradients(model, layout), expected)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_gradients_through_carried_gists(placement: str, checkpointing: bool) -> None:
    model = tiny_gist_lm("llama", placement=placement, chunking="carry").train()
    if checkpointing:
        model.enable_checkpointing()
    layout = Layout(CHUNKS["three"], 4, QUESTIONS, model.spec.placement, model.spec.chunking)
    assert_same_gradients(
        two_pass_gradients(model, layout), masked_gradients("llama", "sdpa", layout)
    )


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_adapter_gradients_where_it_acts_on_all_tokens(checkpointing: bool) -> None:
    """Scope `both` is the one scope with an adapter that a single sequence can express."""
    reference, model = (tiny_lora_lm("llama", "both").train() for _ in range(2))
    if checkpointing:
        model.enable_checkpointing()
    layout = Layout(CHUNKS["three"], 4, QUESTIONS)
    ids = layout_ids(layout, rows=2)
    logits = parts(run_masked(reference, ids, layout), layout, "question")
    loss_of(logits, parts(ids, layout, "question")).backward()
    assert_same_gradients(two_pass_gradients(model, layout), gradients_of(reference))


@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_checkpointing_replays_each_layer_with_the_adapter_as_it_was(scope: str) -> None:
    """Recomputation happens inside `backward`, when no `with adapter off` is open any more."""
    plain, checkpointed = (tiny_lora_lm("llama", scope).train() for _ in range(2))
    checkpointed.enable_checkpointing()
    layout = Layout(CHUNKS["one"], 4, QUESTIONS)
    assert_same_gradients(
        two_pass_gradients(checkpointed, layout), two_pass_gradients(plain, layout)
    )


def test_checkpointing_really_recomputes() -> None:
    """Otherwise the tests above would compare a model with itself."""
    model = tiny_gist_lm("llama").train()
    model.enable_checkpointing()
    calls: list[int] = []
    first = model.base.get_decoder().layers[0].input_layernorm
    first.register_forward_hook(lambda *_: calls.append(1))
    layout = Layout(CHUNKS["one"], 4, (5,))
    two_pass_gradients(model, layout)
    assert len(calls) == 2 * 2  # document with gists, question; each again in backward


def test_reentrant_checkpointing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"wrong gradients.*use_reentrant=False"):
        backbone.enable_checkpointing(tiny_base("llama"), use_reentrant=True)
