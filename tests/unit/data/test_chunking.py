"""Chunks are a text cut up: nothing lost, nothing over the limit, borders as a reader puts them."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dnsity.data.encode import TextEncoder
from dnsity.data.readers.corpus import stream_documents
from dnsity.data.text.chunking import MOST_CHARACTERS, Chunk, chunk
from dnsity.errors import BadInputError
from dnsity.model.checkpoint import find
from tiny import tiny_tokenizer

ENCODER = TextEncoder(tiny_tokenizer())
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
PARTS = [
    *"One day. Why? “So it was.” 비가 온다. 그런가요? “갑니다.” word 나무 3.5 Mr. a".split(),
    *(" ", " ", "  ", "\n", "\n\n", "\r\n\r\n", "\t", "\f", "\x1f"),
    *("e\u0301", "\u1112\u1161\u11ab", "🇰🇷🇫🇷", FAMILY, "x" * 40, "가" * 40),
]
texts = st.lists(st.sampled_from(PARTS), max_size=60).map("".join) | st.text(max_size=80)


def bpe(text: str) -> int:
    return len(ENCODER.encode(text))


def words(text: str) -> int:
    return len(text.split())


def characters(text: str) -> int:
    return len(text)


def dear_ends(text: str) -> int:
    """A text has more tokens than the longer one behind it in which its last word is complete."""
    return len(text) + (3 if text and not text.endswith((" ", ".")) else 0)


def joined(chunks: Iterable[Chunk]) -> str:
    """The text again: of every chunk what the ones before did not have."""
    text = ""
    for piece in chunks:
        assert piece.start <= len(text) < piece.stop
        text += piece.text[len(text) - piece.start :]
    return text


def texts_of(text: str, tokens: int, overlap: int = 0) -> list[str]:
    return [piece.text for piece in chunk(text, characters, tokens, overlap)]


# What always holds


@pytest.mark.parametrize("count", [bpe, words, characters, dear_ends])
@given(text=texts, tokens=st.integers(min_value=5, max_value=40), share=st.floats(0, 0.99))
def test_chunks_rebuild_the_text_and_fit(
    count: Callable[[str], int], text: str, tokens: int, share: float
) -> None:
    overlap = int(tokens * share)
    chunks = list(chunk(text, count, tokens, overlap, source="a"))
    assert joined(chunks) == text
    for index, piece in enumerate(chunks):
        assert text[piece.start : piece.stop] == piece.text
        assert piece.tokens == count(piece.text) <= tokens
        assert (piece.source, piece.index) == ("a", index)
        assert len(piece.text) <= tokens * MOST_CHARACTERS
    for before, behind in pairwise(chunks):
        assert before.start < behind.start
        assert count(text[behind.start : before.stop]) <= overlap


@given(
    text=texts,
    size=st.integers(min_value=1, max_value=30),
    tokens=st.integers(min_value=10, max_value=60),
    overlap=st.integers(min_value=0, max_value=9),
)
def test_blocks_make_no_difference(text: str, size: int, tokens: int, overlap: int) -> None:
    blocks = [text[at : at + size] for at in range(0, len(text), size)]
    whole = list(chunk(text, characters, tokens, overlap))
    assert list(chunk(blocks, characters, tokens, overlap)) == whole


@given(texts, st.integers(min_value=8, max_value=30))
def test_no_cut_inside_what_a_reader_sees_as_one_character(text: str, tokens: int) -> None:
    for piece in chunk(text, characters, tokens):
        assert not piece.text.startswith(("\u0301", "\u11a8", "\u1161", "\u200d", "\ufe0f"))
        assert not (piece.text.endswith("\r") and text[piece.stop : piece.stop + 1] == "\n")
        if "\u200d" not in text[: piece.start]:
            assert not piece.text.endswith("\u200d") or piece.stop == len(text)


# Where a chunk ends


def test_at_a_paragraph_if_one_is_near() -> None:
    text = "A b c d. E f g h.\n\nI j. K l. M n. O p.\n\nQ r."
    assert texts_of(text, 24) == [text[:19], text[19:40], text[40:]]


def test_else_at_a_sentence() -> None:
    text = "It was late. Dr. Hale had left at 9.30 today. She slept well. The end."
    assert texts_of(text, 50) == [
        "It was late. Dr. Hale had left at 9.30 today. ",
        "She slept well. The end.",
    ]


def test_at_a_korean_sentence_and_behind_its_closing_quote() -> None:
    parts = [
        "도서관은 조용하다. “사람이 많은가요?” ",
        "그가 몹시 조용히 물었어요. ",
        "2024. 3. 14. 문을 열었다. 끝.",
    ]
    assert texts_of("".join(parts), 26) == parts


def test_else_at_white_space() -> None:
    assert texts_of("alpha beta gamma delta", 13) == ["alpha beta ", "gamma delta"]


def test_else_anywhere() -> None:
    assert texts_of("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_a_far_paragraph_does_not_make_a_small_chunk() -> None:
    text = "Hi.\n\n" + "One two three four. " * 4
    assert texts_of(text, 50)[0] == text[:45]


@pytest.mark.parametrize("unit", ["e\u0301", "\u1112\u1161\u11ab", FAMILY, "🇰🇷", "👍🏽", "\r\n"])
def test_a_sequence_is_kept_whole_where_it_fits(unit: str) -> None:
    assert set(texts_of("a" + unit * 40, len(unit) + 1)) <= {"a" + unit, unit}


def test_a_sequence_longer_than_a_chunk_is_cut_after_all() -> None:
    assert texts_of("e" + "\u0301" * 9, 4) == ["e" + "\u0301" * 3, "\u0301" * 4, "\u0301" * 2]


def test_white_space_without_end_is_cut_by_characters() -> None:
    chunks = list(chunk(" " * 1000, words, 3))
    assert [piece.stop for piece in chunks][:2] == [96, 192]
    assert chunks[0].tokens == 0


# Overlap


def test_overlap_is_whole_sentences_as_many_as_fit() -> None:
    text = "One two. Three four. Five six. Seven. Eight nine. Ten eleven twelve. End."
    first, second, *_ = chunk(text, characters, 40, 20)
    assert first.text == "One two. Three four. Five six. Seven. "
    assert second.text.startswith("Five six. Seven. Eight")


def test_overlap_is_words_where_no_sentence_fits() -> None:
    first, second, *_ = chunk("one two three four five six seven eight", characters, 20, 12)
    assert (first.text, second.text) == ("one two three four ", "three four five six ")


def test_overlap_is_characters_where_there_are_no_words() -> None:
    assert texts_of("abcdefghij", 5, 2) == ["abcde", "defgh", "ghij"]


def test_overlap_gives_way_where_the_next_character_needs_the_room() -> None:
    """Byte-level tokens: the emoji alone has four, so nothing can be repeated before it."""
    chunks = list(chunk("abcd😀efg", lambda text: len(text.encode()), 4, 3))
    assert joined(chunks) == "abcd😀efg"
    assert "😀" in [piece.text for piece in chunks]


def test_nothing_but_overlap_is_no_chunk() -> None:
    assert texts_of("One two. Three four.", 100, 50) == ["One two. Three four."]


# Real tokenizer, cost


def prose(characters: int) -> str:
    """English and Korean, every sentence different."""
    lines, size, number = [], 0, 0
    while size < characters:
        line = f"Boat {number} left the harbour with {number * 7 % 93} crates of salt. "
        line += f"배 {number}척이 소금 {number * 7 % 93}상자를 싣고 떠났다. "
        line += "\n\n" if number % 9 == 8 else ""
        lines.append(line)
        size += len(line)
        number += 1
    return "".join(lines)


def test_the_bundled_tokenizer_fills_its_chunks_and_counts_each_character_few_times() -> None:
    tokenizer = Tokenizer.from_file(str(find("mini") / "base" / "tokenizer.json"))
    text, counted, longest = prose(60_000), 0, 0

    def count(piece: str) -> int:
        nonlocal counted, longest
        counted += len(piece)
        longest = max(longest, len(piece))
        return len(tokenizer.encode(piece, add_special_tokens=False).ids)

    chunks = list(chunk(text, count, 256, 32))
    assert joined(chunks) == text
    assert max(piece.tokens for piece in chunks) <= 256
    assert sum(piece.tokens for piece in chunks[:-1]) > 0.8 * 256 * (len(chunks) - 1)
    assert all(piece.text.rstrip().endswith(".") for piece in chunks)
    assert all(piece.text.startswith(("Boat", "배")) for piece in chunks)
    assert counted < 5 * len(text)
    assert longest < 3 * max(len(piece.text) for piece in chunks)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(megabytes: int) -> tuple[int, int]:
        path = tmp_path / f"{megabytes}.txt"
        with path.open("w", encoding="utf-8") as file:
            for _ in range(megabytes):
                file.write(prose(600_000))
        tracemalloc.start()
        try:
            ((_, text),) = stream_documents(path)
            last = 0
            for piece in chunk(text, lambda piece: len(piece) // 3, 1000, 100):
                last = piece.stop
            return tracemalloc.get_traced_memory()[1], last
        finally:
            tracemalloc.stop()

    (small, few), (large, many) = peak(1), peak(3)
    assert many == 3 * few
    assert large < 1.1 * small
    assert large < 2_000_000


# Numbers and texts that cannot be


@pytest.mark.parametrize(
    ("tokens", "overlap", "message"),
    [
        (0, 0, "0 tokens per chunk: must be at least 1"),
        (-1, 0, "-1 tokens per chunk"),
        (8, 8, "overlap of 8 with 8 tokens per chunk: allowed are 0 to 7"),
        (8, -1, "overlap of -1"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_read(
    tokens: int, overlap: int, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        chunk("text", characters, tokens, overlap)


def test_a_character_over_the_limit_is_named() -> None:
    chunks = chunk("ab😀", lambda text: len(text.encode()), 3)
    assert next(chunks).text == "ab"
    with pytest.raises(BadInputError, match=r"'😀' at character 2 alone has 4 tokens"):
        next(chunks)


def test_a_lone_surrogate_is_named_by_its_place_in_the_whole() -> None:
    with pytest.raises(BadInputError, match="lone surrogate at character 70001"):
        list(chunk(["a" * 70_000, "b\ud800"], characters, 100))


def test_an_empty_text_has_no_chunks() -> None:
    assert list(chunk("", characters, 5)) == []


# Files


def read(path: Path) -> list[tuple[str, str]]:
    return [(name, "".join(text)) for name, text in stream_documents(path)]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["a.txt", "notes.md", "README", "a.jsonl.txt.log"])
def test_a_text_is_one_document_kept_as_it_is(tmp_path: Path, name: str) -> None:
    text = "# 제목\r\n\r\nOne.\n" + "나루터 " * 50_000
    assert read(written(tmp_path / name, text)) == [(name, text)]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert read(written(tmp_path / "a.txt", b"\xef\xbb\xbfOne.")) == [("a.txt", "One.")]


def test_jsonl_documents_are_named_by_id_title_or_number(tmp_path: Path) -> None:
    records = [
        {"id": 0, "title": "T", "text": "One."},
        {"id": None, "title": "T", "text": "Two."},
        {"text": "셋."},
    ]
    lines = "\n".join(json.dumps(record) for record in records)
    expected = [("0", "One."), ("T", "Two."), ("d.jsonl:3", "셋.")]
    assert read(written(tmp_path / "d.jsonl", lines)) == expected
    packed = written(tmp_path / "d.jsonl.gz", gzip.compress(lines.encode()))
    assert [text for _, text in read(packed)] == ["One.", "Two.", "셋."]


def invalid_utf8() -> Iterator[tuple[bytes, int]]:
    yield b"ab\xff", 2
    yield b"x" * 70_000 + b"\xe4", 70_000  # a character that breaks off
    yield b"x" * 65_535 + "é".encode()[:1] + b"y", 65_535  # across two blocks
    yield "한글".encode("euc-kr"), 0


@pytest.mark.parametrize(("content", "byte"), list(invalid_utf8()))
def test_what_is_not_utf8_is_named_by_file_and_byte(
    tmp_path: Path, content: bytes, byte: int
) -> None:
    path = written(tmp_path / "a.txt", content)
    with pytest.raises(BadInputError, match=rf"a\.txt is not UTF-8 \(byte {byte}\)"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt is empty"),
        ("a.txt", " \n\n", r"a\.txt is empty"),
        ("a.txt", "a\0b", r"a\.txt is binary"),
        ("a.jsonl", "\n", r"a\.jsonl is empty"),
        ("a.jsonl", '{"text": "a"}\n{"id": 1}', r"record 2: no text in 'text'.*\['id'\]"),
        ("a.jsonl", '{"text": 5}', r"record 1: no text"),
        ("a.jsonl", '{"text": " "}', r"record 1: no text"),
        ("a.jsonl", '{"text": "a"}\n{"te', r"a\.jsonl line 2 is not JSON"),
        ("a.jsonl", b'{"text": "\xff"}', r"a\.jsonl line 1 is not UTF-8"),
    ],
)
def test_unusable_files_are_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(BadInputError, match=message):
        read(path)


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    for name, said in (("none.txt", "cannot read"), ("none.jsonl", "cannot read"), (".", "no doc")):
        path = tmp_path / name
        with pytest.raises(BadInputError, match=said):
            read(path)
