"""The contents of a folder: texts to compress, and all other files with a reason.

No file is skipped silently. A possible document that is not compressed makes the run end in an
error; files that cannot be documents (pictures, hidden folders, gist files) are only listed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dnsity.data.readers.corpus import TEXT_SUFFIXES
from dnsity.io.formats import GIST_SUFFIX, by_name, is_media

_OF_THE_SYSTEM = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not compressed.

    Attributes:
        path: The file or folder.
        reason: Why it is not compressed, and what to do.
        expected: Whether it cannot be a document, so that a run is complete without it.
    """

    path: Path
    reason: str
    expected: bool = False


def listing(directory: Path, store: Path) -> tuple[list[Path], list[LeftOut]]:
    """Return the texts below a folder, and what is left out; the store itself is skipped.

    Linked folders are not entered: they may lead out of the folder, or form a cycle.
    """
    texts: list[Path] = []
    left: list[LeftOut] = []

    def unreadable(error: OSError) -> None:
        left.append(LeftOut(Path(error.filename), f"cannot be listed: {error.strerror}"))

    own = os.path.realpath(store)
    for parent, folders, names in os.walk(directory, onerror=unreadable):
        entered = []
        for name in sorted(folders):
            path = Path(parent, name)
            if name.startswith("."):
                left.append(LeftOut(path, "a hidden folder", expected=True))
            elif path.is_symlink():
                reason = "a linked folder is not entered; compress the folder that it links to"
                left.append(LeftOut(path, reason))
            elif os.path.realpath(path) != own:
                entered.append(name)
        folders[:] = entered
        for name in sorted(names):
            reason, expected = _reason(Path(parent, name))
            if reason:
                left.append(LeftOut(Path(parent, name), reason, expected))
            else:
                texts.append(Path(parent, name))
    return texts, left


def _reason(path: Path) -> tuple[str, bool]:
    """Return why a file is left out, and whether that is expected; no reason: it is a text."""
    name = path.name
    if name.lower().endswith(GIST_SUFFIX):
        return "a gist file", True
    if name.startswith("._") or name.lower() in _OF_THE_SYSTEM:
        return "a file of the operating system", True
    is_text = path.suffix.lower() in TEXT_SUFFIXES
    if name.startswith(".") and not is_text:
        return "a hidden file", True
    if path.is_symlink() and not os.path.exists(path):
        return "a link to nothing or to itself", False
    if not os.path.isfile(path):
        return "a pipe, a socket or a device", False
    if is_text:
        return "", False
    if is_media(name):
        return "a picture, a sound, a film or a font", True
    suffix = f"the suffix '{path.suffix}'" if path.suffix else "no suffix"
    return by_name(name) or (
        f"its name has {suffix}, of a folder only {' and '.join(TEXT_SUFFIXES)} files are "
        "compressed; rename it, or compress it by itself if it is text"
    ), False
