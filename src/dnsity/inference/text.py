"""Texts on disk and on standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dnsity.errors import BadInputError
from dnsity.inference.formats import LONGEST_START, by_start

STANDARD_INPUT = "-"
_GIST_START = b'{"__metadata__":{"gist":'
"""Of the header, after its length: a gist file of ours."""


def read_text(source: str | Path) -> str:
    """Read a UTF-8 text file, or standard input for `-`.

    Raises:
        BadInputError: If it is missing, a directory, another kind of document, binary, or not
            UTF-8.
    """
    name = "standard input" if source == STANDARD_INPUT else str(source)
    if source == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
        _refuse_other(name, data)
    else:
        if os.path.isdir(Path(source)):
            raise BadInputError(f"{name} is a directory; give a text file")
        try:
            with Path(source).open("rb") as file:
                start = file.read(LONGEST_START + len(_GIST_START))
                _refuse_other(name, start)  # before the rest, which may be gigabytes
                data = start + file.read()
        except OSError as error:
            raise BadInputError(f"cannot read {name}: {error.strerror}") from error
    if b"\0" in data:
        raise BadInputError(f"{name} is a binary file (it holds NUL bytes); give UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{name} is not UTF-8 (byte {error.start}); convert it, for example with "
            f"iconv -f <its encoding> -t UTF-8"
        ) from error


def _refuse_other(name: str, start: bytes) -> None:
    """Refuse what is no text by its first bytes."""
    what = by_start(start)
    if what is not None:
        raise BadInputError(f"{name} is {what}")
    if start[LONGEST_START:].startswith(_GIST_START):
        raise BadInputError(f"{name} is a gist file already; ask it with `dnsity ask`")
