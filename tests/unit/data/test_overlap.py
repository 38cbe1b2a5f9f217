"""Overlap of corpora: the same thirteen words in a row, however they are written."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from dnsity.data.readers.corpus import Corpus, Document, read_documents
from dnsity.data.readers.overlap import WORDS, HeldOut
from dnsity.errors import BadInputError
from dnsity.io.jsonl import write_records

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
RUN = "the ferry to the island leaves from the north quay at nine every morning"
assert len(RUN.split()) == WORDS + 1


def document(name: str, text: str) -> Document:
    return Document(name, text)


def test_a_run_of_words_is_found_whatever_its_case_and_punctuation() -> None:
    held_out = [document("a", f"Notice. {RUN}"), document("b", "Something else " * 10)]
    training = [
        document("x", "Nothing of that."),
        document("y", f'He said: "{RUN.title()},\nalways!" and left.'),
    ]
    found = HeldOut(held_out).compare(training)
    assert found["a"].sources == {"y"}
    # Fifteen words have three runs of thirteen; the first begins with a word of its own.
    assert (found["a"].runs, len(found["a"].found)) == (3, 2)
    assert found["a"].share == pytest.approx(2 / 3)
    assert not found["b"].found


def test_documents_of_one_name_are_counted_one_by_one() -> None:
    held_out = [document("test.jsonl:1", RUN), document("test.jsonl:1", "Other words " * 10)]
    found = HeldOut(held_out).compare([document("x", RUN)])
    assert [one.share for one in found.values()] == [1, 0]


def test_twelve_words_are_no_run() -> None:
    twelve = " ".join(RUN.split()[:12])
    found = HeldOut([document("a", f"{twelve} tonight")]).compare(
        [document("x", f"{twelve} today")]
    )
    assert not found["a"].found
    held_out = HeldOut([document("a", twelve)], words=12)
    assert held_out.compare([document("x", twelve)])["a"].share == 1


def test_documents_too_short_for_a_run_are_left_out() -> None:
    assert HeldOut([document("a", "too short")]).compare([document("x", "too short")]) == {}


def test_korean_words_count_as_they_are_written() -> None:
    text = "나루터 안내소는 아침 아홉 시에 문을 열고 저녁 여섯 시에 문을 닫는다 그러나"
    found = HeldOut([document("a", text)]).compare([document("x", f"앞말. {text}, 뒷말.")])
    assert found["a"].share == 1


def test_training_documents_that_share_a_run_are_left_out_of_a_corpus(tmp_path: Path) -> None:
    texts = ["Nothing of that sort stands here.", f"As they say, {RUN}.", "Nor here, at all."]
    path = tmp_path / "corpus.jsonl"
    write_records(path, [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    held_out = HeldOut([document("a", RUN)])
    assert Corpus([path], "en", 1000, held_out.shares).texts == [texts[0], texts[2]]
    assert Corpus([path], "en", 1000).texts == texts
    only = tmp_path / "only.jsonl"
    write_records(only, [{"text": texts[1]}])
    with pytest.raises(BadInputError, match="all of it is held out"):
        Corpus([only], "en", 1000, held_out.shares)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_wikipedia_articles_share_text_with_their_sisters() -> None:
    """Different articles, and still text in common: keeping files apart is not enough."""
    held_out = HeldOut(read_documents(SHARED / "haystack" / "longdocs_ko.jsonl"))
    training = read_documents(SHARED / "corpus_ko-00.jsonl.xz")
    texts = [article.text for article in itertools.islice(training, 1000)]
    sharing = sum(map(held_out.shares, texts))
    assert 0 < sharing < 50
