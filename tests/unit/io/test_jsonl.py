"""Record files: every error names file and line, and a file is written atomically."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnsity.data.example import Example, Question
from dnsity.data.readers.records import read_examples
from dnsity.errors import BadInputError
from dnsity.io.jsonl import (
    append_record,
    complete_lines,
    drop_incomplete_line,
    read_records,
    write_records,
)

EXAMPLE = Example(
    "비밀번호는 48213입니다.",
    (
        Question(
            "비밀번호는?", "48213", "passkey", alternatives=("48,213",), choices=("1", "48213")
        ),
    ),
    "ko",
    "a",
    {"seed": 3, "placed": [0.5]},
)


def test_examples_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    assert write_records(path, [EXAMPLE.to_record()] * 3) == 3
    assert list(read_examples(path)) == [EXAMPLE] * 3


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed_files_read_alike_and_damage_is_named(
    tmp_path: Path, suffix: str, pack: Any
) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    data = b"".join(b'{"n": %d, "pad": "%s"}\n' % (n, b"x" * n) for n in range(500))
    path.write_bytes(pack(data))
    assert [record["n"] for record in read_records(path)] == list(range(500))
    path.write_bytes(pack(data)[:-20])
    with pytest.raises(BadInputError, match=rf"a\.jsonl\{suffix} is damaged"):
        list(read_records(path))


def test_zstandard_is_read_where_it_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    try:
        import zstandard
    except ImportError:
        path.write_bytes(b"x")
        with pytest.raises(BadInputError, match="pip install zstandard"):
            list(read_records(path))
    else:
        path.write_bytes(zstandard.compress(b'{"n": 1}\n'))
        assert list(read_records(path)) == [{"n": 1}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a"\n', r"a\.jsonl line 2 is not JSON"),
        (b'{"a": 1}\n\n[1]\n', r"a\.jsonl line 3 is a JSON list"),
        (b'{"a": 1}\n{"a": "\xb3\xaa"}\n', r"a\.jsonl line \d is not UTF-8"),
        (b'{"a": ' + b"1" * 5000 + b"}\n", r"a\.jsonl line 1 is not JSON.*4300 digits"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", r"a\.jsonl line 1 is not JSON.*recursion"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        list(read_records(path))


@pytest.mark.parametrize(
    ("field", "value"), [("document", 3), ("language", "fr"), ("questions", "x"), ("source", None)]
)
def test_a_record_that_is_no_example_is_named(tmp_path: Path, field: str, value: Any) -> None:
    path = tmp_path / "a.jsonl"
    write_records(path, [EXAMPLE.to_record(), {**EXAMPLE.to_record(), field: value}])
    with pytest.raises(BadInputError, match=r"a\.jsonl record 2: "):
        list(read_examples(path))


def test_a_lone_surrogate_is_refused_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    record = {"text": "half of an emoji: \ud83d"}
    for write in (lambda: write_records(path, [record]), lambda: append_record(path, record)):
        with pytest.raises(BadInputError, match=r"a\.jsonl: .*emoji: \\ud83d.*lone surrogate"):
            write()
    assert not path.exists()


def test_a_failure_while_writing_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_records(path, [{"n": 1}])

    def broken() -> Iterator[dict[str, int]]:
        yield {"n": 2}
        raise BadInputError("the source broke off")

    with pytest.raises(BadInputError, match="broke off"):
        write_records(path, broken())
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [{"n": 1}]
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_full_disk_is_one_clear_line_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    path = tmp_path / "a.jsonl"
    write_records(path, [{"n": 1}])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadInputError, match=r"cannot write .*a\.jsonl: No space left on device"):
        write_records(path, [{"n": 2}])
    assert list(read_records(path)) == [{"n": 1}]
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_journal_loses_only_the_line_that_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.jsonl"
    drop_incomplete_line(path)  # no file yet
    for number in range(3):
        append_record(path, {"n": number, "text": "한글"})
    with path.open("ab") as lines:
        lines.write('{"n": 3, "text": "한'.encode()[:-1])
    assert [json.loads(line)["n"] for line in complete_lines(path)] == [0, 1, 2]
    drop_incomplete_line(path)
    append_record(path, {"n": 3})
    assert [record["n"] for record in read_records(path)] == [0, 1, 2, 3]


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for write in (lambda: append_record(tmp_path, {}), lambda: drop_incomplete_line(tmp_path)):
        with pytest.raises(BadInputError, match="cannot write"):
            write()
