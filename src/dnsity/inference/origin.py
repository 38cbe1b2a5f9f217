"""Hashes of the text and of the file name that a gist was made from.

Both are keyed hashes (HMAC-SHA256) with the model's fingerprints as the key: hashes of equal texts
are equal under one model and differ between models. With the model, a guess of the text can be
verified; the gist itself allows that too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dnsity.inference.gist_cache import GistCache, GistInfo


def text_hash(text: str, fingerprints: Mapping[str, str]) -> str:
    """Return the hash of a document under a model."""
    return _keyed("text", text, fingerprints)


def source_hash(source: str | Path, fingerprints: Mapping[str, str]) -> str:
    """Return the hash of a file's name, without its folder, under a model."""
    return _keyed("source", os.path.basename(source), fingerprints)


def is_made_from(info: GistInfo, text: str) -> bool:
    """Return whether a gist was made from exactly this text."""
    return info.text_hash == text_hash(text, info.fingerprints)


def with_file_name(gist: GistCache, source: str | Path) -> GistCache:
    """Return the gist with the hash of its document's file name."""
    found = source_hash(source, gist.info.fingerprints)
    return replace(gist, info=gist.info.model_copy(update={"source_hash": found}))


def _keyed(kind: str, value: str, fingerprints: Mapping[str, str]) -> str:
    key = json.dumps([kind, dict(fingerprints)], sort_keys=True)
    # Python represents bytes of a file name that are not UTF-8 as surrogates.
    return hmac.new(
        key.encode(), value.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()
