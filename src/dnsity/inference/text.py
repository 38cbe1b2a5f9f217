"""A document as it lies on disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dnsity.errors import BadInputError

STANDARD_INPUT = "-"


def read_text(source: str | Path) -> str:
    """Read a UTF-8 text file, or standard input for `-`.

    Raises:
        BadInputError: If it is missing, a directory, binary, or not UTF-8.
    """
    name = "standard input" if source == STANDARD_INPUT else str(source)
    if source == STANDARD_INPUT:
        data = sys.stdin.buffer.read()
    else:
        if os.path.isdir(Path(source)):
            raise BadInputError(f"{name} is a directory; give a text file")
        try:
            data = Path(source).read_bytes()
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
