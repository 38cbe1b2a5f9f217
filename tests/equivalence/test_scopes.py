"""Where the adapter acts. Outside `both` the base answers untouched, to the last bit."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from threading import Thread

import pytest
import torch
from torch import Tensor

from dnsity.errors import BadInputError
from dnsity.gist.layout import Layout, split_evenly
from dnsity.model import backbone, segments
from dnsity.model.gist_lm import GistLM
from dnsity.model.masked import run_masked
from dnsity.shapes import KeyValues
from support import (
    LAYERS,
    PLACEMENTS,
    assert_same,
    assert_same_keys,
    compress_chunks,
    flat,
    gap,
    layout_ids,
    parts,
    random_ids,
    tiny_base,
    tiny_gist_lm,
    tiny_lora_lm,
)

FAMILIES = ("llama", "qwen2", "qwen3-tied", "gemma3")
UNTOUCHED = ("gist", "document")
DOCUMENT, PROMPT = random_ids(2, 20), random_ids(2, 7, seed=1)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("scope", UNTOUCHED)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_ordinary_prompt_gets_the_bits_of_the_base_model(family: str, scope: str) -> None:
    model, base = tiny_lora_lm(family, scope), tiny_base(family)
    expected = base(input_ids=PROMPT).logits
    assert torch.equal(model.answer(None, PROMPT), expected)
    model.compress(DOCUMENT)  # and still after the adapter was on
    assert torch.equal(model.answer(None, PROMPT), expected)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("scope", UNTOUCHED)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_document_read_in_full_is_read_by_the_base_model(family: str, scope: str) -> None:
    adapted, plain = tiny_lora_lm(family, scope), tiny_gist_lm(family)
    for ours, theirs in zip(flat(adapted.read(DOCUMENT)), flat(plain.read(DOCUMENT)), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("scope", UNTOUCHED)
def test_behind_the_same_gists_the_base_model_answers(scope: str) -> None:
    adapted, plain = tiny_lora_lm("llama", scope), tiny_gist_lm("llama")
    gists = adapted.compress(DOCUMENT)
    assert torch.equal(adapted.answer(gists, PROMPT), plain.answer(gists, PROMPT))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_with_scope_both_the_adapter_answers_too(family: str) -> None:
    adapted = tiny_lora_lm(family, "both").answer(None, PROMPT)
    assert gap(adapted, tiny_base(family)(input_ids=PROMPT).logits) > 1e-2


def compress_by_hand(
    model: GistLM, document: Tensor, *, adapted: bool, placement: str = "append"
) -> KeyValues:
    """Compress with PEFT's own switches: the document with or without the adapter, gists with."""
    tokens, count, peft_model = document.shape[1], model.spec.gists, model.peft_model
    assert peft_model is not None
    seen = torch.ones(tokens + count, tokens + count, dtype=torch.bool).tril()
    positions = torch.arange(-tokens, count).expand(document.shape[0], -1)
    if placement == "spread":
        for gist, (start, stop) in enumerate(split_evenly(tokens, count)):
            seen[tokens + gist, :tokens] = False
            seen[tokens + gist, start:stop] = True
    with nullcontext() if adapted else peft_model.disable_adapter():
        read = backbone.segment_keys(
            model.base, model.base.get_input_embeddings()(document), positions[:, :tokens], None
        )
    return backbone.segment_keys(
        model.base,
        model.gist_rows.expand(document.shape[0], -1, -1),
        positions[:, tokens:],
        backbone.masks(
            model.base,
            seen[tokens:].expand(document.shape[0], -1, -1),
            positions[:, tokens:],
            positions,
        ),
        read,
    )


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("scope", ["gist", "document", "both"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_scope_equals_the_switches_worked_by_hand(
    family: str, scope: str, placement: str
) -> None:
    """The document is read by the base itself in scope `gist` only."""
    model = tiny_lora_lm(family, scope, placement=placement)
    found = model.compress(DOCUMENT)
    adapted = scope != "gist"
    by_hand = partial(compress_by_hand, model, DOCUMENT, placement=placement)
    assert_same_keys(found, by_hand(adapted=adapted))
    # The first layer's keys are of the gist rows alone, whatever was read.
    other = by_hand(adapted=not adapted)
    assert all(gap(a, b) > 1e-3 for a, b in zip(flat(found[1:]), flat(other[1:]), strict=True))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_an_adapter_of_the_embeddings_reads_the_document_where_it_may(scope: str) -> None:
    model = tiny_lora_lm("llama", scope, targets=["embed_tokens", "k_proj"])
    found, adapted = model.compress(DOCUMENT), scope != "gist"
    assert_same_keys(found, compress_by_hand(model, DOCUMENT, adapted=adapted))
    other = compress_by_hand(model, DOCUMENT, adapted=not adapted)
    assert all(gap(a, b) > 1e-3 for a, b in zip(flat(found[1:]), flat(other[1:]), strict=True))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_scope_both_equals_the_masked_sequence(family: str, placement: str) -> None:
    model = tiny_lora_lm(family, "both", placement=placement)
    layout = Layout((7, 12, 9), 4, (5, 3), model.spec.placement)
    ids = layout_ids(layout, rows=2)
    expected = parts(run_masked(model, ids, layout), layout, "question")
    gists = compress_chunks(model, parts(ids, layout, "document"))
    for number, question in enumerate(parts(ids, layout, "question")):
        assert_same(model.answer(gists, question), expected[number])


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_every_trained_weight_that_can_matter_gets_a_gradient(
    scope: str, checkpointing: bool
) -> None:
    """Of the last layer only keys and values are kept from a compress pass.

    So outside scope `both` the other adapters of that layer never act; every other one must.
    """
    model = tiny_lora_lm("llama", scope).train()
    if checkpointing:
        model.enable_checkpointing()
    model.answer(model.compress(DOCUMENT), PROMPT).log_softmax(-1)[..., 5].sum().backward()
    for name, parameter in model.named_parameters():
        idle = (
            scope in UNTOUCHED
            and f"layers.{LAYERS - 1}." in name
            and not any(part in name for part in ("k_proj", "v_proj"))
        )
        if not parameter.requires_grad:
            assert "lora_" not in name, name
            assert parameter.grad is None, f"frozen {name} has a gradient"
        else:
            assert not idle, name
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_only_adapter_and_gist_rows_are_trained() -> None:
    model = tiny_lora_lm("llama", "document")
    model.answer(model.compress(DOCUMENT), PROMPT)  # switches the adapter off and on again
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in model.named_parameters() if "lora_" in n or n == "gist_rows"}


@pytest.mark.parametrize("scope", UNTOUCHED)
def test_a_single_sequence_refuses_to_pretend(scope: str) -> None:
    layout = Layout((5,), 4, (3,))
    with pytest.raises(BadInputError, match=f"scope '{scope}' needs the two-pass path"):
        run_masked(tiny_lora_lm("llama", scope), layout_ids(layout), layout)


@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_a_scope_with_adapter_needs_one(scope: str) -> None:
    with pytest.raises(BadInputError, match=f"scope '{scope}' needs a LoRA"):
        tiny_gist_lm("llama", scope=scope)


def test_scope_full_takes_no_adapter() -> None:
    from peft import LoraConfig

    with pytest.raises(BadInputError, match="scope 'full' takes no LoRA"):
        tiny_gist_lm("llama", scope="full", lora=LoraConfig(target_modules="all-linear"))


@pytest.mark.usefixtures("no_grad")
def test_compress_waits_for_an_answer_in_progress() -> None:
    """The adapter switch is one for the whole model: no thread may compress with it off."""
    model = tiny_lora_lm("llama", "document")
    ids = random_ids(1, 12)
    expected = model.compress(ids)
    found: list[KeyValues] = []

    def compress() -> None:
        with torch.no_grad():
            found.append(model.compress(ids))

    worker = Thread(target=compress)
    with model.answering():
        worker.start()
        worker.join(timeout=0.2)
        assert not found
    worker.join(timeout=30)
    assert torch.equal(found[0][0][0], expected[0][0])


def test_scope_gist_with_carry_trains_through_the_documents_that_read_gists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later chunk reads earlier gists, so its document segment does carry gradients."""

    def gradient() -> Tensor:
        model = tiny_lora_lm("llama", "gist", chunking="carry")
        gists = compress_chunks(model, [DOCUMENT[:, :10], DOCUMENT[:, 10:]])
        model.answer(gists, PROMPT).square().mean().backward()
        assert model.gist_rows.grad is not None
        return model.gist_rows.grad

    found = gradient()
    monkeypatch.setattr(segments, "_document_graph", lambda spec, prefix: nullcontext())
    assert_same(found, gradient())
