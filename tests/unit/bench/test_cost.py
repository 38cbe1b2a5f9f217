"""The benchmark: every method at every length, stored sizes, and timing in turns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from dnsity.bench import shapes
from dnsity.bench.config import BenchConfig
from dnsity.bench.cost import BASELINES, document, measure, ratios
from dnsity.bench.training import losses, measure_training, trainable
from dnsity.bench.turns import in_turns
from dnsity.errors import BadInputError
from dnsity.inference.hardware import Dtype
from dnsity.inference.loaded import LoadedModel

CONFIG = BenchConfig(
    shape="tiny",
    tokens=[200, 400],
    gists=[2, 4, 8],
    batch=3,
    stored=5,
    new_tokens=3,
    repeats=1,
    train_tokens=[40, 80],
)


@pytest.fixture(scope="module", autouse=True)
def tiny_shape() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            shapes.SHAPES,
            "tiny",
            lambda: LlamaConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=48,
                vocab_size=8192,
            ),
        )
        yield


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return shapes.build("tiny", gists=8)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure(CONFIG, shapes.build("tiny", gists=8))  # of its own: training moves weights


def test_every_method_is_measured_at_every_length(measured: dict[str, Any]) -> None:
    names = [*BASELINES, "gist 2", "gist 4", "gist 8"]
    assert [(row["tokens"], row["method"]) for row in measured["rows"]] == [
        (tokens, name) for tokens in (200, 400) for name in names
    ]
    for row in measured["rows"]:
        assert row["warm_ttft_s"]["median"] > 0
        assert row["cold_ttft_s"] == pytest.approx(row["ingest_s"] + row["warm_ttft_s"]["median"])


def test_slots_are_those_of_document_and_gists(measured: dict[str, Any]) -> None:
    for row in measured["rows"]:
        expected = {"none": 0, "full": row["tokens"], "stored_full_kv": row["tokens"]}
        expected.update({f"gist {count}": count for count in CONFIG.gists})
        if row["method"] in expected:
            assert row["slots"] == expected[row["method"]]
            # Two layers, two heads of eight, keys and values, four bytes.
            assert row["kv_bytes"] == row["slots"] * 2 * 2 * 8 * 2 * 4


def test_what_is_stored_is_what_is_kept(measured: dict[str, Any]) -> None:
    for row in measured["rows"]:
        if row["method"].startswith(("gist", "stored")):
            assert row["kv_bytes"] < row["stored_bytes"] < row["kv_bytes"] + 4096
        if row["method"] == "none":
            assert row["stored_bytes"] == 0


def test_ratios_are_those_of_the_rows(measured: dict[str, Any]) -> None:
    found = ratios(measured, 4)
    rows = {(row["tokens"], row["method"]): row for row in measured["rows"]}
    assert [one["tokens"] for one in found] == [200, 400]
    assert found[0]["kv_over_full"] == pytest.approx(4 / 200)
    gist, full = rows[400, "gist 4"], rows[400, "full"]
    assert found[1]["warm_over_full"] == pytest.approx(
        gist["warm_ttft_s"]["median"] / full["warm_ttft_s"]["median"]
    )
    assert found[1]["warm_with_load_over_none"] > found[1]["warm_over_none"]


def test_a_batch_of_documents_is_decoded(measured: dict[str, Any]) -> None:
    batch = measured["batch"]
    assert (batch["documents"], batch["gists"]) == (3, 4)
    assert batch["gist_tokens_per_second"] > 0
    assert batch["none_tokens_per_second"] > 0


def test_one_of_many_files_is_opened(measured: dict[str, Any]) -> None:
    store = measured["store"]
    assert (store["files"], store["gists"]) == (5, 2)
    assert 0 < store["open_s"]["median"] <= store["open_s"]["p95"]


def test_training_steps_of_every_kind_are_measured_at_every_length(
    measured: dict[str, Any],
) -> None:
    kinds = ["two_pass", "masked", "one_question", "plain"]
    assert [(row["tokens"], row["step"]) for row in measured["training"]] == [
        (tokens, kind) for tokens in (40, 80) for kind in kinds
    ]
    for row in measured["training"]:
        assert row["seconds"] > 0
        assert (row["questions_per_second"] is None) == (row["step"] == "plain")


def test_a_step_without_room_costs_no_other_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_room(*given: Any) -> dict[str, Any]:
        def full() -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return {**losses(*given), "one_question": full}

    monkeypatch.setattr("dnsity.bench.training.losses", without_room)
    config = BenchConfig(shape="tiny", gists=[4], train_tokens=[40], repeats=1)
    rows = measure_training(config, shapes.build("tiny", gists=4))
    assert [row["step"] for row in rows if row["seconds"] is None] == ["one_question"]
    assert all(row["peak_bytes"] is None for row in rows if row["seconds"] is None)


def test_what_was_kept_is_not_measured_again() -> None:
    kept: dict[str, Any] = {}

    def keep(parts: Mapping[str, Any]) -> None:
        kept.update(parts)
        if len(kept) == 2:
            raise KeyboardInterrupt

    config = CONFIG.model_copy(update={"train_tokens": []})
    with pytest.raises(KeyboardInterrupt):
        measure(config, shapes.build("tiny", gists=8), keep=keep)
    assert list(kept) == ["200 tokens", "400 tokens"]
    told: list[str] = []
    measured = measure(
        config,
        shapes.build("tiny", gists=8),
        lambda what, done, total: told.append(what),
        kept,
    )
    assert measured["rows"] == [*kept["200 tokens"], *kept["400 tokens"]]
    assert measured["batch"]["documents"] == 3
    assert told == ["200 tokens", "400 tokens", "5 gist files", "batch of 3", "training steps"]


def test_the_model_counts_in_memory(measured: dict[str, Any], loaded: LoadedModel) -> None:
    # Float32; tied or not, a tensor is counted once.
    assert measured["weights_bytes"] == 4 * sum(p.numel() for p in loaded.lm.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kinds_of_step_that_are_compared_learn_the_same(dtype: Dtype) -> None:
    config = BenchConfig(shape="tiny", gists=[4], dtype=dtype)
    lm = trainable(config, shapes.build("tiny", gists=4, dtype=getattr(torch, dtype)).lm)
    found = {name: loss().item() for name, loss in losses(lm, 40).items()}
    # Sums over 64 tokens, of 8 mantissa bits each in bfloat16.
    near = pytest.approx(found["masked"], rel=1e-5 if dtype == "float32" else 1e-2)
    assert (found["two_pass"], found["one_question"]) == (near, near)


def test_a_base_in_half_precision_is_trained_under_an_adapter() -> None:
    config = BenchConfig(shape="tiny", gists=[4], dtype="bfloat16", train_tokens=[40], repeats=1)
    loaded = shapes.build("tiny", gists=4, dtype=torch.bfloat16)
    before = loaded.lm.base.get_input_embeddings().weight.clone()
    assert measure_training(config, loaded)
    assert torch.equal(loaded.lm.base.get_input_embeddings().weight, before)


def test_the_picture_shows_every_method_at_every_length(measured: dict[str, Any]) -> None:
    from dnsity.bench.plots import costs

    result = {**measured, "gists": 4, "manifest": {"config": {"shape": "tiny"}}}
    warm, _, size = costs(result).axes
    assert [line.get_label() for line in warm.lines] == [
        "no context",
        "full context",
        "stored full KV",
        "RAG top-3",
        "4 gists",
    ]
    gist = warm.lines[-1]
    assert list(gist.get_xdata()) == [200, 400]
    rows = {(row["tokens"], row["method"]): row for row in measured["rows"]}
    assert list(gist.get_ydata()) == [
        rows[tokens, "gist 4"]["warm_ttft_s"]["median"] for tokens in (200, 400)
    ]
    assert list(size.lines[-1].get_ydata()) == [rows[200, "gist 4"]["kv_bytes"]] * 2


def test_documents_have_their_length(loaded: LoadedModel) -> None:
    for tokens in (50, 777):
        assert len(loaded.encoder.encode(document(loaded, tokens))) == tokens


def test_turns_alternate_and_the_first_round_does_not_count(loaded: LoadedModel) -> None:
    order: list[str] = []
    seconds, peaks, results = in_turns(
        loaded, {name: lambda n=name: order.append(n) or n for name in "ab"}, rounds=2
    )
    assert order == list("ababab")
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 2, "b": 2}
    assert set(peaks) == {"a", "b"}
    assert results == {"a": "a", "b": "b"}


@pytest.mark.parametrize(("enough_s", "rounds"), [(0.0, 1), (math.inf, 5)])
def test_no_round_begins_when_it_is_enough_but_one_always_counts(
    loaded: LoadedModel, enough_s: float, rounds: int
) -> None:
    order: list[str] = []
    turns = in_turns(loaded, {"a": lambda: order.append("a")}, 5, enough_s)
    assert (order, len(turns.seconds["a"])) == (["a"] * (1 + rounds), rounds)


def test_peaks_are_of_what_was_done_alone(loaded: LoadedModel) -> None:
    size = 50_000_000
    _, peaks, _ = in_turns(
        loaded,
        {"much": lambda: torch.ones(size // 4).sum(), "nothing": lambda: torch.ones(1).sum()},
        rounds=1,
    )
    # Pages are counted as the system hands them out; a quarter is room for what it keeps back.
    assert peaks["much"] > 0.75 * size
    assert peaks["nothing"] < 0.25 * size


@pytest.mark.parametrize("shape", sorted(set(shapes.SHAPES) - {"mini"}))
def test_shapes_have_the_size_their_names_say(shape: str) -> None:
    from transformers import AutoModelForCausalLM

    config = shapes.SHAPES[shape]()
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    billions = float(shape.rpartition("-")[2].rstrip("b"))
    # Llama-3.2-1B has 1.24 billion parameters, Qwen3-4B 4.02, without tied heads counted twice.
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, rel=0.25)


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(BadInputError, match="no shape 'gpt-9'; known are mini"):
        shapes.build("gpt-9", gists=1)
