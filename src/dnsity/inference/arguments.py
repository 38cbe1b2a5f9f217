"""Checks of arguments: callers pass paths for texts, file names for gists, bytes for strings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dnsity.data.readers.corpus import TEXT_SUFFIXES
from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache
from dnsity.io.formats import GIST_SUFFIX, by_name

_LONGEST_NAME = 400
"""Maximum number of characters of a file name."""


def documents(value: Any) -> list[str]:
    """Return a document or a list of documents as a list.

    Raises:
        BadInputError: If a document is not a string, or is the name of a file.
    """
    texts = strings(value, "compress", "text")
    for text in texts:
        if _is_file_name(text):
            raise BadInputError(
                f"compress takes the text itself, found the file name {text!r}; read the file "
                f'first: compress(Path({text!r}).read_text("utf-8"))'
            )
    return texts


def strings(value: Any, function: str, what: str) -> list[str]:
    """Return a string or a list of strings as a list.

    Args:
        value: The argument.
        function: Name of the function.
        what: Meaning of the argument, for example `text`.

    Raises:
        BadInputError: If it is anything else; the message says how to convert it.
    """
    if isinstance(value, str):
        return [value]
    items = value if isinstance(value, list | tuple) else [value]
    for item in items:
        if isinstance(item, str):
            continue
        if isinstance(item, os.PathLike):
            path = os.fspath(item)
            do = f'read the file first: Path({path!r}).read_text("utf-8")'
        elif isinstance(item, bytes | bytearray):
            do = 'decode it first: .decode("utf-8")'
        else:
            do = f"give a str or a list of str, a {what} each"
        raise BadInputError(f"{function} takes {what} as str, found {type(item).__name__}; {do}")
    return list(items)


def require_gist(value: Any, function: str) -> GistCache:
    """Return the argument if it is a gist.

    Raises:
        BadInputError: If it is anything else; the message says how to load a file.
    """
    if isinstance(value, GistCache):
        return value
    is_name = isinstance(value, str | os.PathLike)
    do = f"load it first: GistCache.load({os.fspath(value)!r})" if is_name else (
        "give what compress or GistCache.load returns"
    )  # fmt: skip
    raise BadInputError(f"{function} takes a GistCache, found {type(value).__name__}; {do}")


def _is_file_name(text: str) -> bool:
    """Return whether a text is a file name: of an existing file, or with a known suffix."""
    if len(text) > _LONGEST_NAME or len(text.splitlines()) != 1 or not text.strip():
        return False
    name = text.strip()
    known = Path(name).suffix.lower() in TEXT_SUFFIXES or by_name(name) is not None
    if len(name.split()) == 1 and (known or name.endswith(GIST_SUFFIX)):
        return True
    try:
        return os.path.isfile(name)
    except ValueError:  # a NUL character
        return False
