"""JSON-lines files: one object a line, plain or compressed, and append-only journals.

Every error names the file and the line.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from dnsity.errors import BadInputError
from dnsity.io.atomic import atomic_path

_MISSING = (
    "; data that a shipped configuration names are not part of dnsity: name files of your own in "
    "it or with --set (docs/train.md describes the format)"
)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a `.jsonl`, `.jsonl.gz`, `.jsonl.xz` or `.jsonl.zst` file.

    Blank lines are skipped.

    Raises:
        BadInputError: If the file is missing, damaged or not UTF-8, or a line is not a JSON object.
    """
    number = 0
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _record(line, f"{path} line {number}")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path} line {number + 1} is not UTF-8 ({error.reason}); convert the file to UTF-8"
        ) from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise BadInputError(
            f"{path} is damaged after line {number} ({error}); copy or download it again"
        ) from error
    except OSError as error:
        hint = _MISSING if isinstance(error, FileNotFoundError) else ""
        raise BadInputError(f"cannot read {path}: {error.strerror or error}{hint}") from error


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one object per line, atomically; return the number of objects.

    Args:
        path: Where to write; its folder is created if needed.
        records: Consumed one by one, so memory stays constant.

    Raises:
        BadInputError: If the file cannot be written (no permission, disk full), or a record has a
            lone surrogate.
    """
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft, draft.open("wb") as lines:
            for record in records:
                lines.write(_line(record, path))
                count += 1
    except OSError as error:
        raise _cannot_write(path, error) from error
    return count


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Append one object to a journal; the line is on disk when the function returns.

    Raises:
        BadInputError: As `write_records`.
    """
    line = _line(record, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as lines:
            lines.write(line)
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        raise _cannot_write(path, error) from error


def complete_lines(path: Path) -> list[bytes]:
    """Return the lines of a journal without the last one if a killed process left it incomplete."""
    return path.read_bytes().split(b"\n")[:-1]


def drop_incomplete_line(path: Path) -> None:
    """Remove what a killed process left after the last line break of a journal.

    Raises:
        BadInputError: If the file cannot be written.
    """
    try:
        with path.open("r+b") as lines:
            lines.truncate(lines.read().rfind(b"\n") + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_write(path, error) from error


def parse_json(text: str, where: str) -> Any:
    """Parse JSON; errors name the place `where`, and the line in a text of several lines.

    Raises:
        BadInputError: If it is not JSON, is nested too deeply, or has a number of too many digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and "\n" in text.strip():
            where = f"{where} line {error.lineno}"
        raise BadInputError(f"{where} is not JSON: {getattr(error, 'msg', error)}") from error


def _line(record: Mapping[str, Any], path: Path) -> bytes:
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        return line.encode()
    except UnicodeEncodeError as error:
        near = line[max(0, error.start - 20) : error.end]
        raise BadInputError(
            f"cannot write {path}: {near!a} has a lone surrogate, which is not valid Unicode; "
            "remove it from the source"
        ) from error


def _cannot_write(path: Path, error: OSError) -> BadInputError:
    return BadInputError(f"cannot write {path}: {error.strerror or error}")


def _record(line: str, where: str) -> dict[str, Any]:
    record = parse_json(line, where)
    if not isinstance(record, dict):
        raise BadInputError(f"{where} is a JSON {type(record).__name__}, not an object")
    return record


def _open(path: Path) -> IO[str]:
    """Open a file as text; its suffix names the compression."""
    if path.suffix.lower() == ".zst":
        return _open_zst(path)
    openers: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
    opened: IO[str] = openers.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8-sig")
    return opened


def _open_zst(path: Path) -> IO[str]:
    try:
        import zstandard
    except ImportError as error:
        raise BadInputError(
            f"reading {path} needs the zstandard package: pip install zstandard"
        ) from error
    stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
    return io.TextIOWrapper(stream, encoding="utf-8-sig")
