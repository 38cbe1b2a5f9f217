"""No gist file of another document is replaced without a word."""

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


def require_replaceable(
    target: Path, same_document: Callable[[GistInfo], bool], *, chosen: bool
) -> None:
    """Refuse to replace what is not ours to replace, before the work.

    A damaged gist file may be replaced: compressing again is what its error message advises.

    Args:
        target: Where a gist is to be written.
        same_document: Whether the gist that is there is of the same document.
        chosen: The user named the target; what it holds is then replaced with a warning.

    Raises:
        BadInputError: If the target is a file but no gist file, or, unless chosen, holds the gist
            of another document.
    """
    if not os.path.isfile(target):
        return
    from dnsity.inference.gist_cache import GistCache

    try:
        info = GistCache.load(target).info
    except DamagedFileError as error:
        if not target.name.lower().endswith(GIST_SUFFIX):
            raise BadInputError(
                f"{target} is a file, but no gist file; choose another name with -o, or remove it"
            ) from error
        warn(f"{target} holds no gist that this dnsity can read, and is replaced")
        return
    if same_document(info):
        return
    if chosen:
        warn(f"{target} holds the gist of another text, which is replaced")
        return
    why = "the gist of another document"
    if info.source_hash is None:
        why = "a gist that does not tell of which file it is"
    raise BadInputError(
        f"{target} holds {why}; give another name with -o, or the same name with -o to replace it"
    )
