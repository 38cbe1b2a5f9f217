"""Files of one JSON object a line, plain or compressed; written whole or not at all.

Every error names the file and the line.
"""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from dnsity.config import whole_file
from dnsity.data.example import Example
from dnsity.errors import BadInputError

_MISSING = (
    "; if a configuration names it: such data are not part of dnsity, name files of your own there "
    "or with --set (docs/datasets.md says of which form)"
)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Read a `.jsonl`, `.jsonl.gz`, `.jsonl.xz` or `.jsonl.zst` file, one object at a time.

    Blank lines are skipped.

    Raises:
        BadInputError: If the file is missing, damaged or not UTF-8, or a line is no JSON object.
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
            f"{path} is damaged behind line {number} ({error}); copy or download it again"
        ) from error
    except OSError as error:
        hint = _MISSING if isinstance(error, FileNotFoundError) else ""
        raise BadInputError(f"cannot read {path}: {error.strerror or error}{hint}") from error


def read_examples(path: Path) -> Iterator[Example]:
    """Read what `write_records` wrote of examples.

    Raises:
        BadInputError: As `read_records`; or if a record is no example.
    """
    for number, record in enumerate(read_records(path), start=1):
        yield Example.from_record(record, f"{path} record {number}")


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write one object a line beside `path`, then put it in place: never half a file.

    Args:
        path: Where to write; its folder is made if need be.
        records: Drawn one by one, so memory stays constant.

    Returns:
        How many were written.

    Raises:
        BadInputError: If the file cannot be written (no permission, disk full).
    """
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as lines:
            for record in records:
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
                count += 1
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {error.strerror or error}") from error
    return count


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"{where} is not JSON: {error.msg}") from error
    if not isinstance(record, dict):
        raise BadInputError(f"{where} is a JSON {type(record).__name__}, not an object")
    return record


def _open(path: Path) -> IO[str]:
    """Open for reading as text, by the name's end."""
    if path.suffix.lower() == ".zst":
        return _open_zst(path)
    openers: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
    opened: IO[str] = openers.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8-sig")
    return opened


def _open_zst(path: Path) -> IO[str]:
    import io

    try:
        import zstandard
    except ImportError as error:
        raise BadInputError(
            f"reading {path} needs the zstandard package: pip install zstandard"
        ) from error
    stream = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), closefd=True)
    return io.TextIOWrapper(stream, encoding="utf-8-sig")
