"""Methods and controls on a tiny model: equal questions, and the context of each method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.data.example import Question
from dnsity.errors import BadInputError
from dnsity.evaluation.method import MethodSettings
from dnsity.evaluation.methods import METHODS, build
from dnsity.evaluation.methods.rag import Rag
from dnsity.evaluation.methods.reading import gist_slots, without_middle
from dnsity.evaluation.retrieval import Bm25, Dense, terms
from dnsity.evaluation.settings import DEFAULT_METHODS
from dnsity.inference.generate import Answer, Sampling, answer
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.loaded import LoadedModel
from tiny import GISTS, POSITIONS, save, tiny_gist_model, tiny_tokenizer

SENTENCES = [f"Sentence number {word} stands here." for word in "one two three four".split()]
DOCUMENT = " ".join(SENTENCES)
LONG = " ".join(f"Line {number}: the passkey is {number * 7919}." for number in range(60))
QUESTION = "Which sentence stands here?"
ALL = [name for name in METHODS if name != "rag_dense"]
SMALL = MethodSettings(chunk_tokens=16, top=2)
QUICK = MethodSettings(steps=2, ratio=4)
"""Of methods that train for minutes, two steps."""


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return tiny_gist_model().loaded


def _prompts(loaded: LoadedModel, name: str, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    seen: list[list[int]] = []
    real = type(loaded.lm.base).generate

    def spy(base: Any, **arguments: Any) -> Any:
        seen.append(arguments["input_ids"][0].tolist())
        return real(base, **arguments)

    method = build(name, loaded, QUICK)
    ingested = method.ingest(DOCUMENT)
    with monkeypatch.context() as patch:
        patch.setattr(type(loaded.lm.base), "generate", spy)  # a twin asks, too
        method.answer(ingested, [QUESTION])
    return seen


def test_every_method_asks_the_same_question(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = {name: _prompts(loaded, name, monkeypatch) for name in ALL}
    assert len({str(prompt) for prompt in prompts.values()}) == 1
    assert QUESTION in loaded.encoder.decode(prompts["gist"][0])


def test_every_method_scores_the_same_choices(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[list[int]]] = {}
    real = loaded.lm.answer
    for name in ALL:
        method = build(name, loaded, QUICK)
        ingested = method.ingest(DOCUMENT)
        asked: list[list[int]] = []

        def spy(prefix: Any, ids: torch.Tensor, *rest: Any, _to: Any = asked, **more: Any) -> Any:
            _to.append(ids.tolist())
            return real(prefix, ids, *rest, **more)

        with monkeypatch.context() as patch:
            patch.setattr(loaded.lm, "answer", spy)
            method.choose(ingested, [Question(QUESTION, "one", "k", choices=("one", "three"))])
        seen[name] = asked
    assert len({str(rows) for rows in seen.values()}) == 1
    assert QUESTION in loaded.encoder.decode(seen["gist"][0][0])


def test_the_choice_taken_is_the_likeliest_per_character(loaded: LoadedModel) -> None:
    method = build("gist", loaded)
    ingested = method.ingest(DOCUMENT)
    choices = ("a", "the passkey for the network", "60479")
    reply = method.choose(ingested, [Question(QUESTION, "a", "k", choices=choices)])[0]
    prefix = method.context(ingested, QUESTION).layers
    found = likelihoods(loaded, prefix, QUESTION, [f" {choice}" for choice in choices])
    density = [one.log / len(choice) for one, choice in zip(found, choices, strict=True)]
    assert reply.text == choices[density.index(max(density))]


def test_unknown_method_is_named(loaded: LoadedModel) -> None:
    with pytest.raises(BadInputError, match="telepathy"):
        build("telepathy", loaded)


def test_a_base_has_no_trained_gists_but_every_baseline(tmp_path: Path) -> None:
    save(tiny_gist_model(), tmp_path / "model")
    base = GistModel.from_base(tmp_path / "model" / "base").loaded
    with pytest.raises(BadInputError, match="without gists"):
        build("gist", base)
    for name in ("none", "full", "rag", "truncate", "gist_untrained"):
        method = build(name, base)
        assert method.answer(method.ingest(LONG[:600]), [QUESTION])[0].seconds > 0


@pytest.mark.parametrize("text", [DOCUMENT, LONG])
def test_equal_kv_controls_have_no_more_slots_than_the_gists(
    loaded: LoadedModel, text: str
) -> None:
    gists = build("gist", loaded).answer(build("gist", loaded).ingest(text), [QUESTION])[0]
    assert gists.slots == gist_slots(loaded, MethodSettings(), len(loaded.encoder.encode(text)))
    for name in ("lead_equal_kv", "rag_equal_kv", "summary_equal_kv"):
        method = build(name, loaded)
        reply = method.answer(method.ingest(text), [QUESTION])[0]
        assert 0 < reply.slots <= gists.slots
        assert reply.kv_bytes <= gists.kv_bytes


def test_fewer_gists_make_every_equal_budget_smaller(loaded: LoadedModel) -> None:
    fewer = MethodSettings(gists=GISTS // 2)
    for name in ("gist", "lead_equal_kv", "rag_equal_kv"):
        method = build(name, loaded, fewer)
        slots = method.answer(method.ingest(LONG), [QUESTION])[0].slots
        assert slots <= gist_slots(loaded, fewer, len(loaded.encoder.encode(LONG)))
        assert slots * 2 <= gist_slots(loaded, SMALL, len(loaded.encoder.encode(LONG)))


def test_truncation_reads_both_ends_and_as_much_as_retrieval_at_most(loaded: LoadedModel) -> None:
    method = build("truncate", loaded, SMALL)
    ingested = method.ingest(LONG)
    ids = loaded.encoder.encode(LONG)
    assert ingested.handle == ids[:16] + ids[-16:]
    assert ingested.note == f"read 32 of {len(ids)} tokens"
    assert without_middle([1, 2, 3, 4, 5], 3) == [1, 2, 5]
    assert without_middle([1, 2], 3) == [1, 2]


def test_full_context_beyond_the_window_loses_its_middle_and_says_so(loaded: LoadedModel) -> None:
    text = LONG + LONG
    ids = loaded.encoder.encode(text)
    assert len(ids) > POSITIONS
    full = build("full", loaded, reserve=100)
    ingested = full.ingest(text)
    assert ingested.handle == without_middle(ids, POSITIONS - 100)
    assert f"of {len(ids)} tokens" in ingested.note
    assert full.ingest(DOCUMENT).note == ""
    assert full.answer(ingested, [QUESTION])[0].slots == POSITIONS - 100
    gist = build("gist", loaded)
    held = gist.ingest(text)
    assert held.note == ""
    assert held.handle.info.n_context == len(ids)
    assert held.handle.info.n_gist == gist_slots(loaded, MethodSettings(), len(ids)) > GISTS


@pytest.mark.parametrize(
    ("document", "word"), [(DOCUMENT, "Summarize"), ("방문자는 안내소로 오십시오. " * 4, "요약")]
)
def test_a_summary_is_what_the_model_says_of_the_document(
    loaded: LoadedModel, document: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, method = build("full", loaded), build("summary_equal_kv", loaded)
    asked: list[str] = []

    def spy(lm: LoadedModel, layers: Any, questions: list[str], how: Sampling) -> list[Answer]:
        asked.extend(questions)
        return answer(lm, layers, questions, how)

    monkeypatch.setattr("dnsity.evaluation.methods.summary.answer", spy)
    ingested = method.ingest(document)
    (request,) = asked
    assert word in request
    whole = full.context(full.ingest(document), request).layers
    slots = gist_slots(loaded, MethodSettings(), len(loaded.encoder.encode(document)))
    written = answer(loaded, whole, [request], Sampling(max_new_tokens=slots))[0].text
    assert ingested.note == f"summary: {written}"
    assert ingested.handle == loaded.encoder.encode(written)[:slots]


def test_a_model_that_writes_nothing_has_no_summary(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = replace(answer(loaded, None, [QUESTION], Sampling(max_new_tokens=1))[0], text=" ")
    monkeypatch.setattr("dnsity.evaluation.methods.summary.answer", lambda *_: [nothing])
    with pytest.raises(BadInputError, match="wrote no summary; leave summary_equal_kv out"):
        build("summary_equal_kv", loaded).ingest(DOCUMENT)


def test_stored_full_context_answers_as_full_context_and_reads_once(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = loaded.lm.read
    monkeypatch.setattr(
        loaded.lm, "read", lambda ids, *rest: (read.append(ids.shape[1]), real(ids, *rest))[1]
    )
    full, stored = build("full", loaded), build("stored_full_kv", loaded)
    held = stored.ingest(DOCUMENT)
    assert len(read) == 1
    theirs = stored.answer(held, [QUESTION, "And now?"])
    assert len(read) == 1
    ours = full.answer(full.ingest(DOCUMENT), [QUESTION, "And now?"])
    assert [(r.text, r.slots, r.kv_bytes) for r in theirs] == [
        (r.text, r.slots, r.kv_bytes) for r in ours
    ]


def test_reading_is_charged_to_every_question_though_it_is_done_once(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(LoadedModel, "now", lambda self: float(next(clock)))
    method = build("full", loaded)
    contexts = [method.context(method.ingest(DOCUMENT), question) for question in ("a?", "b?")]
    assert contexts[0] is contexts[1]
    assert contexts[0].seconds == 1


def test_methods_without_gist_tokens_say_what_they_took(tmp_path: Path) -> None:
    save(tiny_gist_model(), tmp_path / "model")
    base = GistModel.from_base(tmp_path / "model" / "base").loaded
    tokens = len(base.encoder.encode(LONG[:600]))
    slots = {}
    for name in ("refine", "refine_from_keys", "select"):
        method = build(name, base, QUICK)
        ingested = method.ingest(LONG[:600])
        assert ingested.seconds > 0
        slots[name] = method.answer(ingested, [QUESTION])[0].slots
    assert slots["select"] == -(-tokens // 4)
    assert slots["refine"] == slots["refine_from_keys"] == gist_slots(base, QUICK, tokens)
    assert "start gist" in build("refine", tiny_gist_model().loaded, QUICK).ingest(DOCUMENT).note
    note = build("refine", base, QUICK).ingest(LONG[:600]).note
    assert "start select, steps 2, loss_before" in note


def test_methods_that_ask_for_more_are_named_to_be_run() -> None:
    costly = {"refine", "refine_from_keys", "select", "rag_dense", "summary_equal_kv"}
    assert not costly & set(DEFAULT_METHODS)
    assert {"gist", "full", "none"} <= set(DEFAULT_METHODS)


def test_wrong_document_is_a_gist_method_that_asks_for_another_document() -> None:
    others = [name for name, method in METHODS.items() if method.other_document]
    assert others == ["gist_wrong_document"]


def test_untrained_gists_differ_and_leave_the_model_as_it_was(tmp_path: Path) -> None:
    model = tiny_gist_model()
    with torch.no_grad():
        model.loaded.lm.gist_rows.add_(1.0)  # "training"
    loaded = model.loaded
    untrained = build("gist_untrained", loaded).ingest(DOCUMENT).handle
    trained = build("gist", loaded).ingest(DOCUMENT).handle
    assert not torch.equal(untrained.layers[0][0], trained.layers[0][0])
    fresh = build("gist", tiny_gist_model().loaded).ingest(DOCUMENT).handle
    assert torch.equal(untrained.layers[-1][1], fresh.layers[-1][1])
    assert untrained.info.fingerprints == trained.info.fingerprints == loaded.fingerprints


def test_rag_chunks_lose_nothing_and_keep_their_size(loaded: LoadedModel) -> None:
    document = "\n\n".join(DOCUMENT for _ in range(20))
    chunks = Rag(loaded)._chunks(document, 64)
    assert "".join(chunks) == document
    assert len(chunks) > 3
    assert max(len(loaded.encoder.encode(chunk)) for chunk in chunks) <= 64


def test_rag_reads_the_chunk_that_was_asked_for(loaded: LoadedModel) -> None:
    method = build("rag", loaded, MethodSettings(chunk_tokens=24, top=1))
    ingested = method.ingest(" ".join(SENTENCES))
    index, top, _ = ingested.handle
    assert "three" in index.search("number three?", top)[0]


def test_korean_particles_do_not_hide_a_match() -> None:
    chunks = ["날씨가 맑고 바람이 붑니다.", "비밀번호는 48213입니다.", "배가 떠납니다."]
    assert Bm25(chunks).search("비밀번호가 무엇입니까?", 1) == [chunks[1]]
    assert "비밀" in terms("비밀번호가")


def test_search_returns_chunks_in_document_order() -> None:
    chunks = ["a b", "c c c", "b b b", "d"]
    assert Bm25(chunks).search("b c", 2) == ["c c c", "b b b"]
    assert len(Bm25(chunks).search("?", 3)) == 3


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A sentence-transformers model of random weights on disk."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertConfig, BertModel

    tokenizer = tiny_tokenizer()
    folder = tmp_path_factory.mktemp("embedder")
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), intermediate_size=32, **shape))
    bert.save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    body = modules.Transformer(str(folder / "bert"))
    pooling = modules.Pooling(body.get_embedding_dimension())
    SentenceTransformer(modules=[body, pooling]).save(str(folder / "whole"))
    return str(folder / "whole")


def test_dense_search_finds_a_chunk_by_itself(embedder: str, loaded: LoadedModel) -> None:
    assert Dense(SENTENCES, embedder).search(SENTENCES[2], 1) == [SENTENCES[2]]
    settings = MethodSettings(chunk_tokens=24, top=1, dense_model=embedder)
    method = build("rag_dense", loaded, settings)
    reply = method.answer(method.ingest(DOCUMENT), [QUESTION])[0]
    assert 0 < reply.slots <= 24


def test_dense_search_without_a_model_says_what_to_set(loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="dense_model"):
        build("rag_dense", loaded).ingest(DOCUMENT)
    with pytest.raises(BadInputError, match="cannot load embedding model"):
        Dense(SENTENCES, str(tmp_path / "nothing"))
