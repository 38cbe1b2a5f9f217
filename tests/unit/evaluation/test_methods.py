"""Methods and controls on a tiny model: same question for all, and what each one sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.evaluation.methods import METHODS, build
from dnsity.evaluation.methods.rag import Rag
from dnsity.evaluation.retrieval import Bm25, terms
from dnsity.inference.loaded import LoadedModel
from tiny import tiny_gist_model

DOCUMENT = " ".join(f"Sentence number {word} stands here." for word in "one two three four".split())
QUESTION = "Which sentence stands here?"


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return tiny_gist_model().loaded


def _prompts(loaded: LoadedModel, name: str, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    seen: list[list[int]] = []
    real = loaded.lm.base.generate

    def spy(**arguments: Any) -> Any:
        seen.append(arguments["input_ids"][0].tolist())
        return real(**arguments)

    method = build(name, loaded)
    ingested = method.ingest(DOCUMENT)
    with monkeypatch.context() as patch:
        patch.setattr(loaded.lm.base, "generate", spy)
        method.answer(ingested, [QUESTION])
    return seen


def test_every_method_asks_the_same_question(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = {name: _prompts(loaded, name, monkeypatch) for name in METHODS}
    assert len({str(prompt) for prompt in prompts.values()}) == 1
    assert QUESTION in loaded.encoder.decode(prompts["gist"][0])


def test_unknown_method_is_named(loaded: LoadedModel) -> None:
    with pytest.raises(BadInputError, match="telepathy"):
        build("telepathy", loaded)


def test_wrong_document_gets_the_gists_of_the_one_before(loaded: LoadedModel) -> None:
    right, wrong = build("gist", loaded), build("gist_wrong_document", loaded)
    first, second = "The first text is about boats. " * 2, "Another text, about bread. " * 2
    wrong.ingest(first)
    handed = wrong.ingest(second).handle
    assert torch.equal(handed.layers[0][0], right.ingest(first).handle.layers[0][0])


def test_rag_chunks_lose_nothing(loaded: LoadedModel) -> None:
    document = "\n\n".join(DOCUMENT for _ in range(20))
    chunks = Rag(loaded)._chunks(document)
    assert "".join(chunks) == document
    assert len(chunks) > 3


def test_korean_particles_do_not_hide_a_match() -> None:
    chunks = ["날씨가 맑고 바람이 붑니다.", "비밀번호는 48213입니다.", "배가 떠납니다."]
    assert Bm25(chunks).search("비밀번호가 무엇입니까?", 1) == [chunks[1]]
    assert "비밀" in terms("비밀번호가")


def test_search_returns_chunks_in_document_order() -> None:
    chunks = ["a b", "c c c", "b b b", "d"]
    assert Bm25(chunks).search("b c", 2) == ["c c c", "b b b"]
    assert len(Bm25(chunks).search("?", 3)) == 3
