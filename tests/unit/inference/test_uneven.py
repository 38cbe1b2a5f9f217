"""Heads with different numbers of slots: answers equal attention computed head by head."""

from __future__ import annotations

import json
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from dnsity.errors import BadInputError, DamagedFileError
from dnsity.inference import cartridge, gist_file
from dnsity.inference.generate import Sampling, answer, stream, stripped
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.methods import select
from dnsity.inference.methods.select import Select, select_key_values
from dnsity.model import backbone, uneven
from dnsity.model.attention import moved
from dnsity.model.key_values import stacked
from dnsity.shapes import KeyValues
from support import assert_same, assert_same_keys, gap, tiny_base
from templates import WITH_SYSTEM, chat_tokenizer
from tiny import DOCUMENT, LONG_DOCUMENT, QUESTIONS, tiny_base_model

FAMILIES = ("llama", "qwen3-tied")
HEADS, LAYERS = 2, 3


def uneven_gist(model: GistModel, text: str = LONG_DOCUMENT, gists: int = 30) -> GistCache:
    """Compress so that heads have different numbers of slots."""
    gist = model.compress(text, method=Select(gists=gists))
    assert gist.info.slots is not None
    assert len({count for layer in gist.info.slots for count in layer}) > 1
    return gist


def in_chat_template() -> GistModel:
    tokenizer = chat_tokenizer("cl100k", WITH_SYSTEM)
    base = tiny_base("llama", vocab_size=len(tokenizer), max_position_embeddings=512)
    return GistModel.from_base(base, tokenizer)


MODELS = [*(partial(tiny_base_model, family) for family in FAMILIES), in_chat_template]


def head_by_head(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **more: Any
) -> tuple[Tensor, None]:
    """Attend with each head alone, over its own slots: slow and obvious."""
    tokens, length, group = query.shape[2], key.shape[2], query.shape[1] // key.shape[1]
    outputs = torch.zeros_like(query)
    for head in range(query.shape[1]):
        for row in range(query.shape[0]):
            held = [i for i in range(length) if bool(key[row, head // group, i].any())]
            for token in range(tokens):
                seen = [i for i in held if i <= length - tokens + token]
                scores = query[row, head, token] @ key[row, head // group, seen].T
                shares = (scores * more["scaling"]).softmax(dim=-1)
                outputs[row, head, token] = shares @ value[row, head // group, seen]
    return outputs.transpose(1, 2), None


AttentionInterface.register("head_by_head", head_by_head)
AttentionMaskInterface.register("head_by_head", sdpa_mask)


def reference(model: GistModel, prefix: KeyValues, ids: list[int]) -> Tensor:
    """Return the logits of tokens after a prefix, by `head_by_head`."""
    slots = prefix[0][0].shape[2]
    return backbone.segment_logits(
        backbone.twin(model.loaded.lm.base, "head_by_head"),
        torch.tensor([ids]),
        torch.arange(slots, slots + len(ids))[None],
        torch.ones(1, slots + len(ids), dtype=torch.bool),
        prefix,
        0,
    )


@pytest.mark.parametrize("make", MODELS)
@torch.inference_mode()
def test_logits_are_those_of_heads_one_by_one(make: Any) -> None:
    model = make()
    loaded = model.loaded
    layers = uneven_gist(model).layers
    prefix = loaded.after_head(layers)
    ids = loaded.frame.question(QUESTIONS[0])
    with loaded.answering(layers, uneven=True) as base:
        found = loaded.lm.answer(prefix, torch.tensor([ids]), base=base)
    assert_same(found, reference(model, prefix, ids), "logits")
    blind = loaded.lm.answer(
        tuple((k[:, :, -8:], v[:, :, -8:]) for k, v in prefix), torch.tensor([ids])
    )
    assert gap(blind, found) > 1e-3, "the slots change nothing"


@pytest.mark.parametrize("make", MODELS)
@torch.inference_mode()
def test_generated_tokens_are_the_likeliest_of_the_reference(make: Any) -> None:
    model = make()
    loaded = model.loaded
    gist = uneven_gist(model)
    prefix = loaded.after_head(gist.layers)
    said = answer(loaded, gist.layers, [QUESTIONS[1]], Sampling(max_new_tokens=6))[0]
    ids, text = list(loaded.frame.question(QUESTIONS[1])), []
    for _ in range(said.new_tokens):
        text.append(int(reference(model, prefix, ids)[0, -1].argmax()))
        ids.append(text[-1])
    assert said.new_tokens > 0
    assert said.text == loaded.encoder.decode(text)
    assert "".join(stream(loaded, gist.layers, QUESTIONS[1], Sampling(max_new_tokens=6))) == (
        said.text.strip()
    )


def test_a_batch_answers_as_single_questions_do() -> None:
    model = tiny_base_model("llama")
    uneven_one, uneven_two = uneven_gist(model), uneven_gist(model, LONG_DOCUMENT[40:], 22)
    plain = model.compress(DOCUMENT, method=Select(gists=5, even=True))
    gists = [uneven_one, plain, uneven_two]
    single = [model.ask(gist, QUESTIONS[0]) for gist in gists]
    layers, mask = stacked([gist.layers for gist in gists])
    batch = stripped(answer(model.loaded, layers, [QUESTIONS[0]] * 3, prefix_mask=mask))
    assert [a.text for a in batch] == [a.text for a in single]
    several = model.ask(uneven_one, QUESTIONS)
    assert [a.text for a in several] == [model.ask(uneven_one, q).text for q in QUESTIONS]


@torch.inference_mode()
def test_likelihoods_see_real_slots_only() -> None:
    model = tiny_base_model("qwen3-tied")
    loaded, gist = model.loaded, uneven_gist(model)
    found = likelihoods(loaded, gist.layers, QUESTIONS[0], [" nine", " the morning"])
    ids = loaded.frame.question(QUESTIONS[0])
    own = loaded.frame.continuation(" nine")
    logs = reference(model, gist.layers, ids + own)[0, len(ids) - 1 : -1].log_softmax(dim=-1)
    expected = float(logs.gather(1, torch.tensor(own)[:, None]).sum())
    assert found[0].log == pytest.approx(expected, abs=1e-4)


def test_all_heads_share_one_budget() -> None:
    """The tokens kept are the best of all heads together, at least one of each head."""
    model = tiny_base_model("llama")
    loaded = model.loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)
    slots = len(ids) // 3
    for most in (len(ids), 2 * slots):
        counts, _ = uneven.packed(select_key_values(loaded, ids, slots, most=most))
        each = [count for layer in counts for count in layer]
        assert sum(each) == slots * HEADS * LAYERS
        assert 1 <= min(each) < slots < max(each) <= most
    for most in (None, slots, 3):
        counts, _ = uneven.packed(select_key_values(loaded, ids, slots, most=most))
        assert counts == [[slots] * HEADS] * LAYERS


@torch.inference_mode()
def test_selected_tokens_are_in_order_before_the_question() -> None:
    """Slots of a head are its best tokens in order, and end right before the question."""
    model = tiny_base_model("llama")
    loaded = model.loaded
    ids = list(range(20, 60))
    slots = select_key_values(loaded, ids, 12, most=len(ids))
    full = loaded.lm.read(torch.tensor([ids]))
    positions = slots[0][0].shape[2]
    for layer, ((keys, values), (all_keys, all_values)) in enumerate(zip(slots, full, strict=True)):
        assert layer or keys.shape[2] == positions
        for head in range(HEADS):
            real = keys[0, head].any(dim=-1)
            assert bool((real.int().diff() >= 0).all()), "empty slots come first"
            assert not values[0, head][~real].any()
            chosen = torch.cdist(values[0, head][real], all_values[0, head]).argmin(dim=-1)
            assert bool((chosen.diff() > 0).all())
            here = positions - len(chosen) + torch.arange(len(chosen))
            whole = all_keys[0, head : head + 1, chosen]
            there = moved(loaded.lm.base, layer, whole, (here - chosen)[None])
            assert_same(keys[0, head][real], there[0], "keys")


@torch.inference_mode()
def test_values_are_those_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_base_model("llama").loaded
    monkeypatch.setattr(select, "_fit_values", lambda *_: pytest.fail("values are fitted"))
    select_key_values(loaded, loaded.encoder.encode(LONG_DOCUMENT), 16, most=80)


@pytest.mark.parametrize("family", ["mistral-sliding", "gemma3"])
def test_windows_keep_the_same_number_in_every_head(family: str) -> None:
    gist = tiny_base_model(family).compress(LONG_DOCUMENT, method=Select(gists=20))
    assert gist.info.slots is None
    assert {keys.shape[2] for keys, _ in gist.layers} == {20}


def test_chunks_of_a_long_document_are_joined() -> None:
    model = tiny_base_model("llama", max_position_embeddings=256)
    text = LONG_DOCUMENT * 3
    gist = model.compress(text, method=Select(ratio=12))
    assert gist.info.n_chunks > 1
    assert gist.info.slots is not None
    assert gist.info.positions <= 192
    assert gist.info.n_gist == -(-sum(map(sum, gist.info.slots)) // (HEADS * LAYERS))
    assert abs(gist.info.n_gist - gist.info.n_context / 12) <= gist.info.n_chunks
    model.ask(gist, QUESTIONS[0])


def test_the_file_holds_real_slots_only(tmp_path: Path) -> None:
    model = tiny_base_model("llama")
    gist = uneven_gist(model)
    path = gist.save(tmp_path / "a.gist.safetensors")
    read = GistCache.load(path)
    assert read == gist
    assert_same_keys(read.layers, gist.layers)
    again = read.save(tmp_path / "b.gist.safetensors")
    assert again.read_bytes() == path.read_bytes()
    assert gist.info.slots is not None
    numbers = sum(map(sum, gist.info.slots)) * 2 * gist.layers[0][0].shape[3]
    header = 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert path.stat().st_size == header + 4 * numbers < header + gist.kv_bytes
    even = model.compress(LONG_DOCUMENT, method=Select(gists=30, even=True))
    assert _description(even.save(tmp_path / "c.gist.safetensors"))["format_version"] == 1
    assert _description(path)["format_version"] == 2


def _description(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    found: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["gist"])
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"slots": [[1, 1]] * LAYERS},
        {"slots": [[]] * LAYERS},
        {"slots": [[30, 30], [30, 30], [60, 0]]},
        {"slots": [[30, 30], [30, 30], [60]]},
        {"n_positions": None},
        {"slots": []},
        {"n_positions": 1},
        {"n_positions": 10**9},
        {"n_gist": 31},
        {"slots": None},
    ],
)
def test_counts_that_do_not_fit_are_refused(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gist = uneven_gist(tiny_base_model("llama"))
    flat = uneven.packed(gist.layers)[1]
    wrong = GistCache(gist.layers, gist.info.model_copy(update=change))
    monkeypatch.setattr(gist_file, "packed", lambda _: (None, flat))
    if change == {"slots": None}:  # as many positions in every layer, and not what is said
        wrong = GistCache(gist.layers, gist.info.model_copy(update={"slots": None}))
    path = wrong.save(tmp_path / "a.gist.safetensors")
    with pytest.raises(DamagedFileError):
        GistCache.load(path)


def test_export_says_what_to_do(tmp_path: Path) -> None:
    gist = uneven_gist(tiny_base_model("llama"))
    with pytest.raises(BadInputError, match="--even"):
        cartridge.export(gist, tmp_path / "adapter", "tiny-base")
    assert not (tmp_path / "adapter").exists()


@torch.inference_mode()
def test_what_is_padded_or_whole_is_not_uneven() -> None:
    model = tiny_base_model("llama")
    gist = uneven_gist(model)
    even = [model.compress(DOCUMENT, method=Select(gists=n, even=True)).layers for n in (4, 7)]
    layers, mask = stacked(even)
    assert uneven.is_uneven(gist.layers)
    assert not uneven.is_uneven(None)
    assert not any(map(uneven.is_uneven, even))
    assert not uneven.is_uneven(layers, mask)
    assert uneven.is_uneven(layers)
    one_length = tuple((k[:, :, -9:].clone(), v[:, :, -9:]) for k, v in gist.layers)
    one_length[0][0][:, 1, 0] = 0
    assert uneven.is_uneven(one_length)
    zero = even[0][0][0].clone()
    zero[..., 0] = 0  # one coordinate of a real key
    assert not uneven.is_uneven(((zero, even[0][0][1]), *even[0][1:]))
