"""Steps depend on seed and number only, and have the same documents however they are split."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from dnsity.data.batch import IGNORE, Batch, QuestionBatch, TextBatch, collate
from dnsity.data.encode import TextEncoder
from dnsity.data.generators.mixture import DocumentKind, Mixture, MixtureConfig
from dnsity.data.text.frame import Plain
from dnsity.training.batches import Batches
from dnsity.training.curriculum import Curriculum, Stage
from dnsity.training.settings import Settings
from tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def mixture(corpus: dict[str, list[str]]) -> Mixture:
    config = MixtureConfig.model_validate({"corpus": corpus, "corpus_characters": 20_000})
    return Mixture(config, TextEncoder(tiny_tokenizer()))


def _batches(mixture: Mixture, stage: dict[str, Any], **settings: Any) -> Batches:
    return Batches(
        mixture,
        Curriculum([Stage.model_validate(stage)]),
        Plain(mixture.encoder, "Q {question} A"),
        Settings.model_validate({"steps": 1, "tokens_per_step": 256, **settings}),
    )


def _documents(batch: Batch) -> list[list[int]]:
    assert isinstance(batch, QuestionBatch)
    return [i[m].tolist() for i, m in zip(batch.document_ids, batch.document_mask, strict=True)]


def test_steps_are_functions_of_their_number(mixture: Mixture) -> None:
    stage = {"tokens": [48], "share": {"gist": 1.0, "text": 1.0}}
    one, again = _batches(mixture, stage, seed=1), _batches(mixture, stage, seed=1)
    other = _batches(mixture, stage, seed=2)
    modes = set()
    for number in (5, 0, 3, 1, 2, 4):
        first, second = one.batch(number), again.batch(number)
        modes.add(first.mode)
        assert type(first) is type(second)
        for field in fields(first):
            value, again_value = (getattr(batch, field.name) for batch in (first, second))
            same = (
                torch.equal(value, again_value)
                if torch.is_tensor(value)
                else (value == again_value)
            )
            assert same, field.name
    assert modes == {"gist", "text"}
    assert any(
        one.batch(n).input_ids.tolist() != other.batch(n).input_ids.tolist() for n in range(3)
    )


@pytest.mark.parametrize(("accumulation", "processes"), [(1, 1), (3, 1), (1, 2), (2, 2), (1, 9)])
def test_a_split_step_holds_the_same_documents(
    mixture: Mixture, accumulation: int, processes: int
) -> None:
    stage = {"tokens": [24, 32], "gists": [1, 2, 4], "windows": [8, 16]}
    whole = [_batches(mixture, stage).batch(number) for number in range(3)]
    found: list[list[list[int]]] = [[] for _ in whole]
    for process in range(processes):
        share = _batches(mixture, stage, accumulation=accumulation)
        share.process, share.processes = process, processes
        for turn, batch in zip(range(3 * accumulation), share, strict=False):
            step = turn // accumulation
            expected = whole[step]
            assert isinstance(batch, QuestionBatch)
            assert isinstance(expected, QuestionBatch)
            assert len(batch.document_ids) >= 1
            assert batch.gists == expected.gists in (1, 2, 4)
            assert batch.window_tokens == expected.window_tokens in (8, 16)
            found[step] += _documents(batch)
    for step, batch in enumerate(whole):
        documents = _documents(batch)
        assert len(found[step]) >= max(len(documents), processes * accumulation)
        assert all(document in found[step] for document in documents)
        if processes * accumulation <= len(documents):
            assert len(found[step]) == len(documents)


def test_a_run_can_begin_at_any_step(mixture: Mixture) -> None:
    stage = {"tokens": [32]}
    late = _batches(mixture, stage)
    late.first = 4
    assert _documents(next(iter(late))) == _documents(_batches(mixture, stage).batch(4))


def test_prose_said_twice_is_learned_the_second_time(mixture: Mixture) -> None:
    batch = _batches(mixture, {"tokens": [20], "share": {"repeat": 1.0}}).batch(0)
    assert isinstance(batch, TextBatch)
    ids, labels = batch.input_ids, batch.labels
    assert torch.equal(ids[:, -40:-20], ids[:, -20:])
    assert torch.equal(labels[:, 1:], ids[:, -20:])
    assert (labels[:, 0] == IGNORE).all()


def test_a_step_of_long_documents_holds_the_least_number(mixture: Mixture) -> None:
    def documents(tokens: int) -> int:
        return len(_documents(_batches(mixture, {"tokens": [tokens]}, least_documents=3).batch(0)))

    assert documents(200) == 3
    assert documents(10) > 3


def test_what_nobody_expects_word_for_word_is_not_scored(mixture: Mixture) -> None:
    stage = {"tokens": [64], "documents": {"passkey": 1.0, "reconstruct": 1.0}}
    batch = _batches(mixture, stage, tokens_per_step=2048).batch(0)
    assert isinstance(batch, QuestionBatch)
    answers = [labels[labels != IGNORE] for labels in batch.labels]
    lengths = {bool(scored): len(a) for a, scored in zip(answers, batch.scored, strict=True)}
    assert lengths[True] < 10 < lengths[False]


def test_every_hidden_needle_is_in_its_document(
    mixture: Mixture, corpus: dict[str, list[str]]
) -> None:
    encoder = mixture.encoder
    config = MixtureConfig.model_validate({"corpus": corpus, "max_facts": 3, "tokens_per_fact": 30})
    several = Mixture(config, encoder)
    rng = random.Random(0)
    examples = [several.sample(rng, 200) for _ in range(40)]
    for example in examples:
        for question in example.questions:
            assert example.document.count(question.answer) >= 1
    assert {len(example.questions) for example in examples} == {1, 2, 3}
    assert {example.language for example in examples} == {"en", "ko"}
    batch = collate(examples[:4], Plain(encoder, "Q {question} A"))
    assert batch.document_index.max() == 3


def test_a_mixture_draws_what_it_is_asked_for(mixture: Mixture) -> None:
    rng = random.Random(0)
    kinds: dict[DocumentKind, str] = {
        "passkey": "passkey",
        "passphrase": "passphrase",
        "codes": "fact:access_code",
        "value_first": "fact:access_code",
        "quote": "quote",
    }
    for kind, name in kinds.items():
        for _ in range(10):
            example = mixture.sample(rng, 100, {kind: 1.0})
            assert {question.kind for question in example.questions} <= {name, "passkey"}
            assert all(question.answer in example.document for question in example.questions)
            assert any(question.kind == name for question in example.questions)


def test_a_repeated_passage_hides_one_passkey(mixture: Mixture) -> None:
    rng = random.Random(0)
    for _ in range(10):
        example = mixture.sample(rng, 400, {"repeated": 1.0})
        (question,) = example.questions
        assert question.kind == "passkey"
        assert example.document.count(question.answer) == 1
        # 400 tokens of passages of at most 64: every word but those of the needle comes again.
        words = example.document.split()
        once = [word for word in set(words) if words.count(word) == 1]
        assert len(once) < 30
        assert 300 < len(mixture.encoder.encode(example.document)) < 440


def test_facts_say_only_what_they_are_asked_to(
    mixture: Mixture, corpus: dict[str, list[str]]
) -> None:
    encoder = mixture.encoder
    config = {"corpus": corpus, "attributes": ["fee", "room"], "max_facts": 1}
    certain = Mixture(MixtureConfig.model_validate(config), encoder)
    drawn = [certain.sample(random.Random(n), 100, {"facts": 1.0}) for n in range(30)]
    kinds = {question.kind for example in drawn for question in example.questions}
    assert kinds == {"fact:fee", "fact:room"}
    with pytest.raises(ValidationError, match=r"unknown \['colour'\], allowed are"):
        MixtureConfig.model_validate({"corpus": corpus, "attributes": ["colour"]})
