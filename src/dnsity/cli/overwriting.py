"""Protection of existing files: inputs, and the gists of other documents."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dnsity.cli.console import warn
from dnsity.errors import BadInputError, DamagedFileError
from dnsity.io.formats import GIST_SUFFIX

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import GistInfo


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Return whether two paths lead to one existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def require_other_file(output: Path, given: str | Path) -> None:
    """Refuse to write over a file that the command reads.

    Raises:
        BadInputError: If the output is the input.
    """
    if is_same_file(output, given):
        raise BadInputError(f"{output} is an input of this command; give another name with -o")


def require_replaceable(
    target: Path, same_document: Callable[[GistInfo], bool], *, chosen: bool
) -> GistInfo | None:
    """Refuse, before any work, a target that must not be replaced.

    A damaged gist file may be replaced: its error message advises compressing again.

    Args:
        target: Path of the gist file to write.
        same_document: Whether the existing gist is of the same document.
        chosen: Whether the user named the target; a gist there is then replaced with a warning.

    Returns:
        The description of an existing gist of the same document.

    Raises:
        BadInputError: If the target is a file of another kind, or has the gist of another document
            and was not named by the user.
    """
    if not os.path.isfile(target):
        return None
    from dnsity.inference.gist_cache import GistCache

    try:
        info = GistCache.load(target).info
    except DamagedFileError as error:
        if not target.name.lower().endswith(GIST_SUFFIX):
            raise BadInputError(
                f"{target} is a file, but no gist file; choose another name with -o, or remove it"
            ) from error
        warn(f"{target} is no gist file that this version can load; it is replaced")
        return None
    if same_document(info):
        return info
    if chosen:
        warn(f"{target} contains the gist of another text, which is replaced")
        return None
    why = "the gist of another document"
    if info.source_hash is None:
        why = "a gist that does not name its document"
    raise BadInputError(
        f"{target} contains {why}; give another name with -o, or this name to replace the gist"
    )
