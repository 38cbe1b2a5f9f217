"""Atomic writes: readers see the old file or the complete new one, never a part of it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_NAME_CHARACTERS = 40
"""Characters of the target's name in the temporary name, which must not become too long."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same directory and rename it to `path` on success.

    On an error the temporary file is removed and `path` stays as it was.
    """
    name = f".{path.name[:_NAME_CHARACTERS]}.{secrets.token_hex(8)}.tmp"
    temporary = path.with_name(name)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # already renamed, or never created
            temporary.unlink()


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file for writing; it replaces `path` when the block ends."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with atomic_text(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_private_bytes(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, atomically and durably.

    The data and the rename are on disk when the function returns.
    """
    with atomic_path(path) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename durable, on systems where a directory can be opened."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
