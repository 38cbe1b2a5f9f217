"""Segments, masks and caches: the part of the package that knows the library's internals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from dnsity.model import backbone, caches
from dnsity.shapes import KeyValues
from support import (
    ATTENTIONS,
    FAMILIES,
    LAYERS,
    SLIDING,
    VOCAB,
    WINDOW,
    assert_same_keys,
    flat,
    random_ids,
    tiny_base,
    tiny_gist_lm,
    tiny_lora_lm,
)

every_model = pytest.mark.parametrize(
    ("family", "attention"),
    [(f, a) for f in (*FAMILIES, "mistral-sliding") for a in ATTENTIONS],
)


def embeds_and_positions(base: PreTrainedModel, tokens: int, first: int) -> tuple[Tensor, Tensor]:
    embeds = base.get_input_embeddings()(random_ids(2, tokens)).detach()
    return embeds, torch.arange(first, first + tokens).expand(2, -1)


@every_model
def test_early_stop_leaves_the_keys_of_the_full_pass(family: str, attention: str) -> None:
    base = tiny_base(family, attention)
    given = embeds_and_positions(base, 20, -20)
    full = backbone.segment_keys(base, *given, None)
    with torch.no_grad():
        short = backbone.segment_keys(base, *given, None)
    assert len(full) == len(short) == LAYERS
    for one, other in zip(flat(full), flat(short), strict=True):
        assert torch.equal(one, other)  # the same operations up to that point
        assert one.requires_grad
        assert not other.requires_grad


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_early_stop_skips_the_end_of_the_last_layer_and_the_head(family: str) -> None:
    base = tiny_base(family)
    ran: list[str] = []
    last = base.get_decoder().layers[-1]
    watched = {"o_proj": last.self_attn.o_proj, "mlp": last.mlp, "head": base.lm_head}
    for name, module in watched.items():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    given = embeds_and_positions(base, 20, -20)
    with torch.no_grad():
        backbone.segment_keys(base, *given, None)
    assert ran == []
    backbone.segment_keys(base, *given, None)
    assert ran == []  # nor while training
    backbone.enable_checkpointing(base)
    backbone.segment_keys(base.train(), *given, None)
    assert ran == ["o_proj", "mlp"]  # checkpointing replays whole layers, but never the head


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unneeded", [1, LAYERS, LAYERS + 5])
def test_unneeded_keys_are_not_computed(family: str, unneeded: int) -> None:
    base = tiny_base(family)
    ran: list[int] = []
    for number, layer in enumerate(base.get_decoder().layers):
        layer.self_attn.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
    given = embeds_and_positions(base, 20, -20)
    whole = backbone.segment_keys(base, *given, None)
    ran.clear()
    fewer = backbone.segment_keys(base, *given, None, unneeded=unneeded)
    left = max(1, LAYERS - unneeded)  # the layer in which a pass ends is always entered
    assert ran == list(range(left))
    assert len(fewer) == left
    assert all(torch.equal(a, b) for a, b in zip(flat(fewer), flat(whole), strict=False))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_of_keys_that_are_not_kept_no_memory_is_left(family: str) -> None:
    base = tiny_base(family)
    given = embeds_and_positions(base, 20, -20)
    whole = backbone.segment_keys(base, *given, None)
    kept = backbone.segment_keys(base, *given, None, keep=3)
    for few, all_ in zip(flat(kept), flat(whole), strict=True):
        assert torch.equal(few, all_[:, :, -3:])
        assert few.untyped_storage().nbytes() == few.nbytes


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_early_stop_leaves_the_model_as_it_was(family: str) -> None:
    """The exception that ends the pass crosses the library's own hooks and contexts."""
    base = tiny_base(family)
    ids = random_ids(2, 9)
    before = base(input_ids=ids, output_hidden_states=True)
    for _ in range(2):
        backbone.segment_keys(base, *embeds_and_positions(base, 20, -20), None)
    after = base(input_ids=ids, output_hidden_states=True)
    assert torch.equal(after.logits, before.logits)
    assert len(after.hidden_states) == len(before.hidden_states) == LAYERS + 1
    assert base(input_ids=ids).hidden_states is None


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_keys_are_those_the_library_stores(family: str) -> None:
    base = tiny_base(family)
    ids = random_ids(2, 12)  # shorter than the sliding window, of which the library keeps no more
    stored = base(input_ids=ids, use_cache=True).past_key_values
    ours = backbone.segment_keys(
        base, base.get_input_embeddings()(ids), torch.arange(12).expand(2, -1), None
    )
    assert_same_keys(ours, tuple((layer.keys, layer.values) for layer in stored.layers))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", FAMILIES)
def test_two_segments_equal_one(family: str) -> None:
    """The prefix is read, never written, and the second segment's keys are its own only."""
    base = tiny_base(family)
    embeds, positions = embeds_and_positions(base, 20, 0)
    whole = backbone.segment_keys(base, embeds, positions, None)
    first = backbone.segment_keys(base, embeds[:, :12], positions[:, :12], None)
    copies = [tensor.clone() for tensor in flat(first)]
    second = backbone.segment_keys(base, embeds[:, 12:], positions[:, 12:], None, first)
    assert_same_keys(second, tuple((k[:, :, 12:], v[:, :, 12:]) for k, v in whole))
    assert all(torch.equal(a, b) for a, b in zip(flat(first), copies, strict=True))


def greedy(base: PreTrainedModel, gists: KeyValues, question: Tensor, steps: int) -> Tensor:
    """Let `generate` continue a question conditioned on gists."""
    slots = gists[0][0].shape[-2]
    output = base.generate(
        input_ids=question,
        attention_mask=torch.ones(question.shape[0], slots + question.shape[1]),
        past_key_values=caches.growing_cache(base, gists),
        max_new_tokens=steps,
        do_sample=False,
    )
    return output[:, question.shape[1] :]


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_generating_never_writes_to_the_stored_gists(family: str) -> None:
    model = tiny_gist_lm(family, gists=20)  # more slots than the sliding window
    gists = model.compress(random_ids(1, 30))
    copies = [tensor.clone() for tensor in flat(gists)]
    question = random_ids(1, 5, seed=1)
    first = greedy(model.base, gists, question, 10)
    assert all(torch.equal(a, b) for a, b in zip(flat(gists), copies, strict=True))
    assert torch.equal(greedy(model.base, gists, question, 10), first)
    model.answer(gists, question)
    assert all(torch.equal(a, b) for a, b in zip(flat(gists), copies, strict=True))


@pytest.mark.usefixtures("no_grad")
@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_generate_equals_a_greedy_loop_by_hand(family: str) -> None:
    """Past the sliding window, too: 4 gists, 5 question tokens and 14 new ones."""
    model = tiny_gist_lm(family)
    gists = model.compress(random_ids(2, 20))
    tokens = random_ids(2, 5, seed=1)
    model.base.generation_config.eos_token_id = None  # compare all steps
    generated = greedy(model.base, gists, tokens, 14)
    for _ in range(14):
        following = model.answer(gists, tokens, logits_to_keep=1).argmax(-1)
        tokens = torch.cat([tokens, following], dim=1)
    assert torch.equal(generated, tokens[:, 5:])
    assert generated.unique().numel() > 4  # a model that repeats itself would prove nothing


def test_keys_appended_in_place_are_those_the_library_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(caches.GrowingLayer, "SPARE", 4)
    ours, library = caches.GrowingLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    moved = []
    for step, tokens in enumerate([5, 1, 1, 2, 1, 1, 1, 1, 1, 1]):
        if step == 6:  # as `generate` does when some rows have ended, or tokens are removed
            for layer in (ours, library):
                layer.batch_select_indices(torch.tensor([2, 0]))
                layer.crop(-3)
        new = [torch.randn(3 if step < 6 else 2, 2, tokens, 8, generator=generator) for _ in "kv"]
        before = None if step == 0 else ours.keys.data_ptr()
        for found, expected in zip(ours.update(*new), library.update(*new), strict=True):
            assert torch.equal(found, expected)
        if ours.keys.data_ptr() != before:
            moved.append(step)
        assert ours.get_seq_length() == library.get_seq_length()
    assert moved == [0, 4, 6]  # at first, when the room was used up, and after the selection


@pytest.mark.usefixtures("no_grad")
def test_only_layers_that_see_everything_get_room_to_grow() -> None:
    """A sliding layer is the library's, which forgets what has left the window."""
    base = tiny_base("gemma3")
    prefix = backbone.segment_keys(base, *embeds_and_positions(base, 20, 0), None)
    cache = caches.growing_cache(base, prefix)
    for kind, layer in zip(base.config.layer_types, cache.layers, strict=True):
        before = layer.keys.data_ptr()
        layer.update(*(torch.ones(2, 2, 1, 8) for _ in "kv"))
        assert (layer.keys.data_ptr() == before) == (kind == "full_attention")
        assert layer.keys.shape[-2] == (21 if kind == "full_attention" else WINDOW - 1)
        assert layer.get_seq_length() == 21


def test_segment_cache_never_grows() -> None:
    """Gradient checkpointing runs `update` twice: the second time must find the same state."""
    prefix = tuple((torch.randn(1, 2, 4, 8), torch.randn(1, 2, 4, 8)) for _ in range(LAYERS))
    cache = caches.segment_cache(prefix, LAYERS)
    new = torch.randn(1, 2, 3, 8)
    for _ in range(2):
        keys, values = cache.update(new, 2 * new, 1)
        assert torch.equal(keys, torch.cat([prefix[1][0], new], dim=2))
        assert torch.equal(values, torch.cat([prefix[1][1], 2 * new], dim=2))
        assert cache.get_seq_length(1) == 4
        assert torch.equal(cache.layers[1].keys, new)


SEEN = torch.ones(1, 6, 6, dtype=torch.bool).tril()
POSITIONS = torch.tensor([[0, 1, 2, 30, 31, 32]])


def test_sdpa_masks_are_bool_and_eager_masks_are_finite_numbers() -> None:
    seen = SEEN.clone()
    seen[:, 2] = False  # a row that sees nothing, as padding does
    sdpa = backbone.masks(tiny_base("llama", "sdpa"), seen, POSITIONS, POSITIONS)
    eager = backbone.masks(tiny_base("llama", "eager"), seen, POSITIONS, POSITIONS)
    assert isinstance(sdpa, Tensor)
    assert isinstance(eager, Tensor)
    assert sdpa.shape == eager.shape == (1, 1, 6, 6)
    assert torch.equal(sdpa[:, 0], seen)
    assert torch.equal(eager[:, 0] == 0, seen)
    assert torch.isfinite(eager.softmax(-1)).all()
    assert (eager[:, 0][~seen] == torch.finfo(torch.float32).min).all()


def test_masks_cut_the_window_in_positions_for_sliding_layers_only() -> None:
    both = backbone.masks(tiny_base("gemma3"), SEEN, POSITIONS, POSITIONS)
    assert isinstance(both, dict)
    assert torch.equal(both["full_attention"][:, 0], SEEN)
    cut = both["sliding_attention"][:, 0]
    assert torch.equal(cut, SEEN & (POSITIONS[:, :, None] - POSITIONS[:, None] < WINDOW))
    assert not cut[0, 3:, :3].any()
    only = backbone.masks(tiny_base("mistral-sliding"), SEEN, POSITIONS, POSITIONS)
    assert isinstance(only, Tensor)
    assert torch.equal(only[:, 0], cut)


@pytest.mark.usefixtures("no_grad")
def test_adapter_off_restores_the_adapter() -> None:
    model = tiny_lora_lm("llama", "both")
    ids = random_ids(1, 5)
    with_adapter = model.base(input_ids=ids).logits
    with backbone.adapter_off(model.peft_model):
        assert torch.equal(
            model.base(input_ids=ids).logits, tiny_base("llama")(input_ids=ids).logits
        )
    assert torch.equal(model.base(input_ids=ids).logits, with_adapter)


@pytest.mark.parametrize("family", SLIDING)
def test_reading_counts_and_shapes(family: str) -> None:
    base = tiny_base(family)
    assert backbone.num_layers(base) == LAYERS
    assert base.get_output_embeddings().weight.shape[0] == VOCAB
    keys, values = backbone.segment_keys(base, *embeds_and_positions(base, 20, -20), None)[0]
    assert keys.shape == values.shape == (2, 2, 20, 8)  # also past the window: all are kept
