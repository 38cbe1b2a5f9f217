"""UTF-8 text from files and standard input."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnsity.errors import BadInputError
from dnsity.io.formats import LONGEST_START, by_start

STANDARD_INPUT = "-"
_GIST_START = b'{"__metadata__":{"gist":'
"""Start of the header of a gist file, after the header's length."""
_BLOCK = 1 << 16
"""Bytes that `read_blocks` reads at once."""


def read_text(source: str | Path, name: str = "") -> str:
    """Read a UTF-8 text file, or standard input for `-`; a byte order mark is removed.

    Args:
        source: The file.
        name: What errors call it (default: its path).

    Raises:
        BadInputError: If it is missing, a directory, not a text file, or not UTF-8.
    """
    if source == STANDARD_INPUT:
        name = "standard input"
        data = sys.stdin.buffer.read()
        _require_text(name, data)
    else:
        name = name or str(source)
        if os.path.isdir(Path(source)):
            raise BadInputError(f"{name} is a directory; give a text file")
        with named_errors(name), Path(source).open("rb") as file:
            start = file.read(LONGEST_START + len(_GIST_START))
            _require_text(name, start)  # before the rest is read, which may be gigabytes
            data = start + file.read()
    if b"\0" in data:
        raise BadInputError(f"{name} is a binary file (it contains NUL bytes); give UTF-8 text")
    with named_errors(name):
        return data.decode("utf-8-sig")


def read_blocks(path: Path) -> Iterator[str]:
    """Yield a UTF-8 text file block by block, so that memory stays constant.

    Raises:
        BadInputError: If it cannot be read, is empty, binary or not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, begin, data, blank = 0, 0, b"-", True
    try:
        with path.open("rb") as file:
            while data:
                data = file.read(_BLOCK)
                begin = done - len(decoder.getstate()[0])  # byte at which this decoding starts
                text = decoder.decode(data, final=not data)
                if "\0" in text:
                    raise BadInputError(
                        f"{path} is binary (it contains NUL bytes); give UTF-8 text"
                    )
                blank = blank and not text.strip("\ufeff \t\r\n")
                yield text if done else text.removeprefix("\ufeff")
                done += len(data)
    except UnicodeDecodeError as error:
        raise _not_utf8(str(path), begin + error.start) from error
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror or error}") from error
    if blank:
        raise BadInputError(f"{path} is empty; give a file with text in it")


@contextmanager
def named_errors(name: str | Path) -> Iterator[None]:
    """Turn an error in reading or decoding a text file into one that names the file.

    Raises:
        BadInputError: If the file cannot be read or is not UTF-8.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise _not_utf8(str(name), error.start) from error
    except OSError as error:
        raise BadInputError(f"cannot read {name}: {error.strerror or error}") from error


def _not_utf8(name: str, byte: int) -> BadInputError:
    return BadInputError(
        f"{name} is not UTF-8 (byte {byte}); convert it, for example with "
        "iconv -f <its encoding> -t UTF-8"
    )


def _require_text(name: str, start: bytes) -> None:
    """Refuse a file that is not text, by its first bytes."""
    what = by_start(start)
    if what is not None:
        raise BadInputError(f"{name} is {what}")
    if start[LONGEST_START:].startswith(_GIST_START):
        raise BadInputError(f"{name} is a gist file already; ask it with `dnsity ask`")
