"""Files that are not text, recognized by their first bytes or by their names.

A PDF or ZIP file would give a gist of noise, and some are valid UTF-8.
"""

from __future__ import annotations

import mimetypes
from pathlib import PurePath

GIST_SUFFIX = ".gist.safetensors"
LONGEST_START = 8
"""Bytes that `by_start` examines."""

_EXPORT = "save or export it as plain text (UTF-8) and give that"
_UNPACK = "unpack it and give the texts in it"
_PDF = "a PDF; extract its text first, for example with `pdftotext FILE`, and give that"
_OFFICE = f"an office document; {_EXPORT}"
_BOOK = f"an e-book; {_EXPORT}"
_ARCHIVE = f"an archive; {_UNPACK}"
_PICTURE = "a picture; give text"
_RTF = f"RTF; {_EXPORT}"

_STARTS = {
    b"%PDF-": _PDF,
    b"{\\rtf": _RTF,
    b"PK\3\4": f"an archive or an office document (ZIP, DOCX, ODT, EPUB); {_UNPACK}, or {_EXPORT}",
    b"\xd0\xcf\x11\xe0": _OFFICE,
    b"\x1f\x8b": _ARCHIVE,
    b"7z\xbc\xaf": _ARCHIVE,
    b"\xfd7zXZ": _ARCHIVE,
    b"(\xb5/\xfd": _ARCHIVE,
    b"Rar!\x1a": _ARCHIVE,
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"\xff\xfe": "UTF-16; give UTF-8 text, for example by `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "UTF-16; give UTF-8 text, for example by `iconv -f UTF-16 -t UTF-8`",
}
_SUFFIXES = {
    ".pdf": _PDF,
    ".rtf": _RTF,
    **dict.fromkeys((".doc", ".docx", ".odt", ".ppt", ".pptx", ".odp", ".xls", ".xlsx", ".ods",
                     ".hwp", ".hwpx", ".pages"), _OFFICE),
    **dict.fromkeys((".epub", ".mobi", ".azw3"), _BOOK),
    **dict.fromkeys((".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".tar", ".rar"),
                    _ARCHIVE),
}  # fmt: skip
_MEDIA = ("image/", "audio/", "video/", "font/")


def by_start(data: bytes) -> str | None:
    """Return the kind of a file with these first bytes and what to do; None if it may be text."""
    found = (what for start, what in _STARTS.items() if data.startswith(start))
    return next(found, None)


def by_name(name: str) -> str | None:
    """Return the kind of a file with this name and what to do; None if it may be text."""
    return _SUFFIXES.get(PurePath(name).suffix.lower())


def is_media(name: str) -> bool:
    """Return whether a file of this name is an image, audio, a video or a font."""
    kind, _ = mimetypes.guess_type(name.lower())
    return kind is not None and kind.startswith(_MEDIA)
