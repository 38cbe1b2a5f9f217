"""Corpora: what is read from where, which side a document is on, passages without repetition."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsity.data.readers.corpus import Corpus, Document, read_documents, side_of
from dnsity.errors import BadInputError


def _jsonl(path: Path, texts: list[str]) -> Path:
    records = ({"id": f"d{n}", "title": f"T{n}", "text": text} for n, text in enumerate(texts))
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_a_folder_is_read_in_order_of_name(tmp_path: Path) -> None:
    _jsonl(tmp_path / "b.jsonl", ["one", "two"])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "guide.md").write_text("# Guide\n", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfnote")  # a byte order mark is no text
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert list(read_documents(tmp_path)) == [
        Document("a.txt", "note"),
        Document("d0", "one", "T0"),
        Document("d1", "two", "T1"),
        Document("c/guide.md", "# Guide\n"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"body": "x"}\n', r"a\.jsonl record 2: no 'text'.*body"),
        ("a.txt", b"ab\xff", r"a\.txt is not UTF-8 \(byte 2\)"),
        ("a.pdf", b"x", r"a\.pdf is no corpus; allowed are"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        list(read_documents(path))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.jsonl: No such file"):
        list(read_documents(tmp_path / "none.jsonl"))
    with pytest.raises(BadInputError, match="no document in"):
        list(read_documents(tmp_path))
    with pytest.raises(BadInputError, match="hf:NAME:SPLIT"):
        list(read_documents("hf:wikitext"))


@given(st.text(min_size=1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_the_side_depends_on_the_text_alone(text: str, share: float) -> None:
    side = side_of(text, share)
    assert side == side_of(f" {text}\n", share)
    if share in (0.0, 1.0):
        assert side == ("test" if share else "train")


def test_sides_have_their_share_and_a_larger_one_holds_the_smaller() -> None:
    texts = [f"document number {n}" for n in range(2000)]
    small = {text for text in texts if side_of(text, 0.1) == "test"}
    large = {text for text in texts if side_of(text, 0.3) == "test"}
    assert small < large
    # Four standard deviations of 2,000 samples at 0.1.
    assert len(small) == pytest.approx(200, abs=54)


def test_reading_stops_when_there_is_enough(tmp_path: Path) -> None:
    corpus = Corpus([_jsonl(tmp_path / "a.jsonl", ["x" * 100] * 50)], "en", characters=450)
    assert len(corpus.texts) == 5


@given(seed=st.integers(0, 1000), characters=st.integers(20, 1500))
def test_a_passage_repeats_nothing_before_all_is_used(
    tmp_path_factory: pytest.TempPathFactory, seed: int, characters: int
) -> None:
    texts = [" ".join(f"Fact {a}.{n} stands here." for n in range(20)) for a in range(8)]
    path = _jsonl(tmp_path_factory.mktemp("c") / "a.jsonl", texts)
    passage, source = Corpus([path], "en", characters=10_000).passage(
        random.Random(seed), characters
    )
    sentences = [s for s in passage.replace("\n\n", " ").split(". ") if s.startswith("Fact")]
    assert len(sentences) == len(set(sentences))
    assert len(passage) <= characters
    assert set(source.split("+")) <= {f"d{n}" for n in range(8)}


@given(seed=st.integers(0, 1000))
def test_a_passage_begins_with_a_word_and_outside_quotations(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    long = " ".join(f"word{n}" for n in range(400))
    quotation = 'It said "Wait here. And there. Now go." ' + "So they went. " * 60
    for text, firsts in ((long, None), (quotation, {"It", "So"})):
        path = _jsonl(tmp_path_factory.mktemp("c") / "a.jsonl", [text])
        passage, _ = Corpus([path], "en", characters=10_000).passage(random.Random(seed), 300)
        first = passage.split()[0]
        assert first in (firsts or long.split())


def test_an_empty_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no text in"):
        Corpus([_jsonl(tmp_path / "a.jsonl", ["  "])], "en", characters=10)
