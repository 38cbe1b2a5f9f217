"""A packed row is documents and end tokens, nothing else, and costs no more than it is long."""

from __future__ import annotations

import random

import pytest

from dnsity.data.encode import TextEncoder
from dnsity.data.packing import pack
from dnsity.data.text.sentences import sentence_ends
from tiny import CONTROL_TEXTS, tiny_tokenizer

_SENTENCES = ("The quiet boat {n} rests near a stone wall.", "나루터 안내소 {n} 문을 엽니다.")


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


@pytest.mark.parametrize("sentence", _SENTENCES)
def test_a_row_is_documents_and_end_tokens(encoder: TextEncoder, sentence: str) -> None:
    texts = [
        " ".join(sentence.format(n=n) for n in range(first, first + 40))
        for first in (100, 200, 300, 400, 500)
    ]
    whole = [[*encoder.encode(text), encoder.eos_id] for text in texts]
    from_sentence = [
        (number, [*encoder.encode(text[start:].lstrip()), encoder.eos_id])
        for number, text in enumerate(texts)
        for start in sentence_ends(text)[:-1]
    ]
    begun: set[tuple[int, int]] = set()
    for seed, tokens in enumerate([60] * 20 + [8000] * 5):
        ids = pack(random.Random(seed), texts, encoder, tokens)
        assert len(ids) == tokens
        ((number, row),) = [
            (number, row) for number, row in from_sentence if ids[: len(row)][:60] == row[:60]
        ]
        begun.add((number, len(row)))
        while len(row) < tokens:
            number = (number + 1) % len(texts)
            row = row + whole[number]
        assert ids == row[:tokens]
    assert len({number for number, _ in begun}) == len(texts)
    assert len(begun) > 12


def test_documents_of_white_space_leave_no_end_token(encoder: TextEncoder) -> None:
    one, two = encoder.encode("One."), encoder.encode("Two.")
    row = [*one, encoder.eos_id, *two, encoder.eos_id] * 2
    ids = pack(random.Random(1), ["", " One.\n", "\n \n", "Two."], encoder, 2 * len(row))
    start = 0 if ids[: len(one)] == one else len(one) + 1
    assert ids[: len(row)] == (row + row)[start : start + len(row)]


def test_what_looks_like_a_control_token_ends_no_document(encoder: TextEncoder) -> None:
    text = " ".join(CONTROL_TEXTS)
    ids = pack(random.Random(0), [text], encoder, len(encoder.encode(text)) + 1)
    assert ids.count(encoder.eos_id) == 1


def test_a_cut_leaves_the_ids_before_it_as_they_are(encoder: TextEncoder) -> None:
    text = "the harbour office opens at nine in the morning " * 40  # one sentence
    ids = encoder.encode(text.strip())
    for tokens in range(1, 100):
        assert pack(random.Random(0), [text], encoder, tokens) == ids[:tokens]


def test_a_long_document_is_not_encoded_whole(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = encoder.encode

    def counted(text: str) -> list[int]:
        encoded.append(len(text))
        return encode(text)

    monkeypatch.setattr(encoder, "encode", counted)
    text = "The harbour office opens at nine in the morning. " * 20_000
    starts = {tuple(pack(random.Random(n), [text], encoder, 64)) for n in range(5)}
    assert len(starts) == 1, "every sentence is the same, so each row is"
    assert sum(encoded) < 20_000
