"""Which text and which file a gist was made from, without a word of either.

Both are keyed hashes (HMAC-SHA256), and the key is the model's fingerprints: equal texts have
unequal hashes under two models, and equal hashes under one. A hash answers "is it this text?" to
whoever has the model and a guess, as the gist itself does.
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


def made_of(info: GistInfo, text: str) -> bool:
    """Say whether a gist was made from exactly this text."""
    return info.text_hash == text_hash(text, info.fingerprints)


def from_file(gist: GistCache, source: str | Path) -> GistCache:
    """Note in a gist which file its document was read from."""
    found = source_hash(source, gist.info.fingerprints)
    return replace(gist, info=gist.info.model_copy(update={"source_hash": found}))


def _keyed(kind: str, value: str, fingerprints: Mapping[str, str]) -> str:
    key = json.dumps([kind, dict(fingerprints)], sort_keys=True)
    # A file's name may hold bytes that are no UTF-8, as surrogates.
    return hmac.new(
        key.encode(), value.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()
