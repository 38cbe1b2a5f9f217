"""Text files: UTF-8 with or without a byte order mark; every error names the file."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dnsity.errors import BadInputError
from dnsity.io.text import STANDARD_INPUT, read_blocks, read_text


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path, start: str) -> None:
    path, text = tmp_path / "a.txt", "나루터\r\n" * 20_000
    path.write_bytes((start + text).encode())
    assert read_text(path) == text
    assert "".join(read_blocks(path)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\xffc", r"is not UTF-8 \(byte 2\); convert"),
        (b"a\0b", "binary .*NUL"),
    ],
)
def test_what_is_not_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    for read in (read_text, lambda path: list(read_blocks(path))):
        with pytest.raises(BadInputError, match=rf"a\.txt is .*{message.removeprefix('is ')}"):
            read(path)


def test_other_formats_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(BadInputError, match="letter is a PDF"):
        read_text(path, "the letter")
    with pytest.raises(BadInputError, match="is a directory"):
        read_text(tmp_path)
    with pytest.raises(BadInputError, match=r"cannot read .*none\.txt"):
        read_text(tmp_path / "none.txt")


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("글".encode())))
    assert read_text(STANDARD_INPUT) == "글"
