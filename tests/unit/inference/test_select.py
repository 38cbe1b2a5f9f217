"""Selecting keys: all of them equal full context; fewer are those with the most attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from peft import LoraConfig

from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import repetition, select
from dnsity.inference.methods.select import Select, select_key_values
from dnsity.model import attention
from dnsity.model.attention import moved, rotating_layers, windows
from dnsity.model.backbone import segment_keys
from dnsity.model.gist_lm import GistLM
from support import assert_same, assert_same_keys, gap, random_ids, tiny_base
from tiny import DOCUMENT, LONG_DOCUMENT, QUESTIONS, tiny_base_model

FAMILIES = ("llama", "qwen3-tied", "gemma3")


@contextmanager
def _unfitted() -> Iterator[pytest.MonkeyPatch]:
    """Let `select_key_values` return the document's own values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "_fit_values", lambda seen, queries, keys, values: values)
        yield patch


@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
@pytest.mark.parametrize("scaled", [False, True])
def test_keys_moved_are_keys_read_elsewhere(family: str, scaled: bool) -> None:
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0,
            "original_max_position_embeddings": 128}  # fmt: skip
    base = tiny_base(family, **({"rope_parameters": yarn} if scaled and family != "gemma3" else {}))
    embeds = base.get_input_embeddings()(random_ids(1, 6))
    here = torch.arange(6)[None]
    with torch.no_grad():
        one = segment_keys(base, embeds, here, None)
        other = segment_keys(base, embeds, here + 40, None)
    assert rotating_layers(base) == [True] * 3
    for layer, ((keys, _), (expected, _)) in enumerate(zip(one, other, strict=True)):
        found = moved(base, layer, keys[0], torch.full((2, 6), 40))
        assert_same(found, expected[0], f"keys of layer {layer}")
        assert gap(keys, expected) > 1e-2, "moving them changes nothing"


def test_keys_that_are_not_rotated_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in SmolLM3, where every fourth layer has no positions."""
    from transformers import AutoModelForCausalLM
    from transformers.models.smollm3 import SmolLM3Config

    config = SmolLM3Config(
        vocab_size=101, hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, no_rope_layer_interval=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    assert rotating_layers(base) == [True, False, True, False]
    monkeypatch.setattr(attention, "moved", lambda base, layer, heads, by: heads + 1.0)
    with pytest.raises(UnsupportedModelError, match="layer 0 cannot be moved"):
        rotating_layers(base)


@pytest.mark.parametrize("family", [*FAMILIES, "mistral-sliding"])
def test_keeping_everything_is_full_context(family: str) -> None:
    model = tiny_base_model(family)
    loaded = model.loaded
    gist = model.compress(LONG_DOCUMENT, method=Select(ratio=1))
    ids = torch.tensor([loaded.encoder.encode(LONG_DOCUMENT)])
    asked = torch.tensor(
        [Plain(loaded.encoder, loaded.lm.spec.question_template).question(QUESTIONS[0])]
    )
    with torch.no_grad():
        full = loaded.lm.read(ids)
        assert_same_keys(gist.layers, full)
        assert_same(loaded.lm.answer(gist.layers, asked), loaded.lm.answer(full, asked))
    assert gist.info.n_gist == gist.info.n_context == ids.shape[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_the_tokens_keep_their_keys_and_the_sink(family: str) -> None:
    """Selected keys are the document's, moved; values are the document's unless fitted."""
    model = tiny_base_model(family)
    loaded = model.loaded
    ids = list(range(20, 50))  # each once: in the first layer a token's value is the same anywhere
    slots = len(ids) // 2
    with _unfitted():
        plain = select_key_values(loaded, ids, slots)
    with torch.no_grad():
        full = loaded.lm.read(torch.tensor([ids]))
    for layer, ((keys, values), (all_keys, all_values)) in enumerate(zip(plain, full, strict=True)):
        for head in range(keys.shape[1]):
            distance = torch.cdist(
                values[0, head], all_values[0, head], compute_mode="donot_use_mm_for_euclid_dist"
            )
            chosen = distance.argmin(dim=-1)
            assert distance.min(dim=-1).values.max() < 1e-4, "no value of the document"
            seen_from_behind = windows(loaded.lm.base)[layer] is None
            assert (chosen[0] == 0) == seen_from_behind, "the sink, where a question sees it"
            assert (chosen.diff() > 0).all(), "out of order"
            by = torch.arange(slots) - chosen
            there = moved(loaded.lm.base, layer, all_keys[0, head : head + 1, chosen], by[None])
            assert_same(keys[0, head], there[0], "keys at their slots")


@pytest.mark.parametrize("family", FAMILIES)
def test_refitted_values_bring_answers_nearer_to_full_context(family: str) -> None:
    loaded = tiny_base_model(family).loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)[:160]
    question = torch.tensor([ids[40:60]])  # of the kind the values are fitted to
    with torch.no_grad():
        full = loaded.lm.answer(loaded.lm.read(torch.tensor([ids])), question).log_softmax(-1)

        def divergence() -> float:
            found = loaded.lm.answer(select_key_values(loaded, ids, 16), question)
            return float((full.exp() * (full - found.log_softmax(-1))).sum(-1).mean())

        fitted = divergence()
        with _unfitted():
            assert fitted < divergence()


@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_fitted_to_queries_after_the_slots(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first layer a query depends on token and position alone, so it can be recomputed."""
    loaded = tiny_base_model(family).loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)
    used: list[torch.Tensor] = []

    def spy(seen: object, queries: torch.Tensor, keys: object, values: torch.Tensor) -> object:
        used.append(queries)
        return values

    monkeypatch.setattr(select, "_fit_values", spy)
    slots = select_key_values(loaded, ids, 12)
    asked = Plain(loaded.encoder, loaded.lm.spec.question_template).question(repetition._REPEAT)
    seen: list[attention.Attention] = []
    with torch.no_grad():
        attention.observe(loaded.lm.base, torch.tensor([asked + ids]), slots, seen.append)
    assert_same(used[0], seen[0].queries[:, len(asked) :])


def test_tokens_with_the_most_attention_are_selected() -> None:
    """The scores are those of attention computed by hand, in blocks and passes or not."""
    loaded = tiny_base_model("qwen3-tied").loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)
    slots = len(ids) // 3
    with _unfitted() as patch:
        expected = select_key_values(loaded, ids, slots)
        patch.setattr("dnsity.inference.methods.repetition._BLOCK", 7)
        assert_same_keys(select_key_values(loaded, ids, slots), expected)
    asked = loaded.frame.question("Repeat the text word for word.")
    base = tiny_base("qwen3-tied", "eager", vocab_size=403, max_position_embeddings=512)
    whole = torch.tensor([ids + asked + ids])
    with torch.no_grad():
        looked = base(whole, output_attentions=True).attentions[1][0]
    scores = looked[:, -len(ids) :, : len(ids)].amax(dim=1).unflatten(0, (2, 2)).amax(dim=1)
    with torch.no_grad():
        values = loaded.lm.read(torch.tensor([ids]))[1][1][0]
    for head in range(2):
        scores[head, 0] = 1.0
        chosen = scores[head].topk(slots).indices.sort().values
        assert_same(expected[1][1][0, head], values[head, chosen])


def test_the_base_attends_as_before() -> None:
    model = tiny_base_model("llama")
    before = model.loaded.lm.base.config._attn_implementation
    model.compress(DOCUMENT, method="select")
    assert model.loaded.lm.base.config._attn_implementation == before


def test_with_an_adapter_the_answering_base_is_read() -> None:
    layers = []
    for scope in ("full", "document"):
        loaded = tiny_base_model("llama").loaded
        if scope == "document":
            lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
            lm = GistLM(loaded.lm.base, GistSpec(scope=scope), lora=lora).eval()
            loaded = LoadedModel(lm, loaded.tokenizer, "adapted", "tiny-base")
        layers.append(select_key_values(loaded, loaded.encoder.encode(DOCUMENT), 6))
    assert_same_keys(*layers)


@pytest.mark.parametrize(
    ("text", "method", "match"),
    [
        ("  ", Select(), "empty"),
        (DOCUMENT, Select(gists=400), "would not make it smaller"),
        (LONG_DOCUMENT * 4, Select(gists=400), "this model can hold 256"),
    ],
)
def test_documents_that_cannot_be_taken_are_named(text: str, method: Select, match: str) -> None:
    with pytest.raises(BadInputError, match=match):
        tiny_base_model("llama").compress(text, method=method)


def test_two_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        Select(gists=4, ratio=2)


def test_it_is_an_ordinary_gist(tmp_path: Path) -> None:
    model = tiny_base_model("gemma3")
    gist = model.compress(DOCUMENT, method="select", gists=8)
    assert (gist.info.method, gist.info.n_gist) == ("select", 8)
    assert gist.info.settings == {"gists": 8, "ratio": None, "even": False}
    read = GistCache.load(gist.save(tmp_path / "a.gist.safetensors"))
    assert read.info == gist.info
    assert [a.text for a in model.ask(read, QUESTIONS)] == [
        model.ask(gist, question).text for question in QUESTIONS
    ]
    with pytest.raises(BadInputError, match="--method refine"):
        model.compress(DOCUMENT)
