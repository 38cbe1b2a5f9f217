"""Records are drawn by length, and come back as they were written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Question
from dnsity.data.readers.records import Records
from dnsity.errors import BadInputError
from dnsity.io.jsonl import write_records
from tiny import tiny_tokenizer

WHO = Question("Who?", "Ann", "who", ("she",))


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


def _read(folder: Path, encoder: TextEncoder, *files: list[Example]) -> Records:
    paths = []
    for number, examples in enumerate(files):
        path = folder / f"{number}.jsonl"
        write_records(path, (example.to_record() for example in examples))
        paths.append(str(path))
    return Records(paths, encoder)


def _of_length(encoder: TextEncoder, source: str, tokens: int) -> Example:
    """A record whose document has exactly so many tokens: 9 joins to nothing."""
    document = "9" * tokens
    assert len(encoder.encode(document)) == tokens
    return Example(document, (WHO,), "en", source)


def test_records_are_drawn_by_length(tmp_path: Path, encoder: TextEncoder) -> None:
    lengths = {"a": 60, "b": 10, "c": 31, "d": 30, "e": 10, "f": 200}
    examples = [_of_length(encoder, source, tokens) for source, tokens in lengths.items()]
    records = _read(tmp_path, encoder, examples[:3], examples[3:])

    def drawn(tokens: int) -> set[str]:
        rng = random.Random(tokens)
        return {records.sample(rng, tokens).source for _ in range(80)}

    assert drawn(60) == {"a", "c"}, "half as long is not long enough"
    assert drawn(59) == {"c", "d"}
    assert drawn(29) == {"b", "e"}, "none is longer than half: the longest"
    assert drawn(10) == {"b", "e"}
    assert drawn(1000) == {"f"}
    with pytest.raises(BadInputError, match="at most 9 tokens, the shortest has 10; ask for as"):
        records.sample(random.Random(0), 9)


def test_the_same_seed_draws_the_same(tmp_path: Path, encoder: TextEncoder) -> None:
    examples = [_of_length(encoder, str(number), 40) for number in range(50)]
    records = _read(tmp_path, encoder, examples)
    again = _read(tmp_path, encoder, examples)
    one, other = random.Random(1), random.Random(1)
    sources = [records.sample(one, 50).source for _ in range(20)]
    assert sources == [again.sample(other, 50).source for _ in range(20)]
    assert len(set(sources)) > 5


def test_records_come_back_as_they_were_written(tmp_path: Path, encoder: TextEncoder) -> None:
    choice = Question("Which? (1) tea (2) milk", "milk", "choice", choices=("tea", "milk"))
    record = Example("Ann drinks milk.", (WHO, choice), "ko", "a", {"tokens": 5})
    silent = Example("Nobody asks about this one.", (), "en", "b")
    closed_book = Example(" ", (WHO,), "en", "c")
    records = _read(tmp_path, encoder, [silent, record, closed_book])
    assert all(records.sample(random.Random(seed), 500) == record for seed in range(20))


def test_files_without_a_record_to_draw_are_refused(tmp_path: Path, encoder: TextEncoder) -> None:
    with pytest.raises(BadInputError, match=r"no record with a document and .*0\.jsonl"):
        _read(tmp_path, encoder, [Example("Nobody asks.", (), "en", "a")])
