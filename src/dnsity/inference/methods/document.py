"""Steps that all methods share: text to token ids, and keys and values to a gist cache."""

from __future__ import annotations

from typing import Any

from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.origin import text_hash
from dnsity.model.fingerprint import describe_base
from dnsity.model.finite import require_finite
from dnsity.model.uneven import is_uneven, packed, unpacked
from dnsity.shapes import KeyValues


def encode(loaded: LoadedModel, text: str) -> list[int]:
    """Return the token ids of a document, without the frame's head.

    Raises:
        BadInputError: If it is empty or not valid Unicode.
        UnsupportedModelError: If the model does not support gists; checked before any document.
    """
    if not text.strip():
        raise BadInputError("the document is empty; give a text to compress")
    loaded.require_shift_invariant()
    return loaded.frame.document(text)


def require_smaller(loaded: LoadedModel, tokens: int, slots: int, gists: int) -> None:
    """Refuse slots that save nothing, or leave no room for questions.

    Args:
        loaded: Model and tokenizer.
        tokens: Tokens of the document.
        slots: Slots that the document would fill.
        gists: Requested slots; the message suggests a smaller number if that helps.

    Raises:
        BadInputError: If there are as many slots as tokens, or too many for the model's window.
    """
    if tokens <= slots:
        fewer = max(1, tokens // 10)
        raise BadInputError(
            f"the document has {tokens} tokens, {slots} gists would not make it smaller; "
            + "put it into the question"
            + (f", or use fewer gists (--gists {fewer})" if fewer < gists else "")
        )
    most = most_slots(loaded)
    if slots > most:
        raise BadInputError(
            f"the document has {tokens} tokens and needs {slots} gist slots, this model can hold "
            f"{most}; split the document into several files or use fewer gists"
        )


def most_slots(loaded: LoadedModel) -> int:
    """Return the maximum slots of a document: half of the window is reserved for questions."""
    return loaded.max_positions // 2 - len(loaded.frame.head)


def require_readable(loaded: LoadedModel, tokens: int, extra: int, method: str) -> None:
    """Refuse a document that does not fit the model's window, with `extra` positions after it.

    Raises:
        BadInputError: If it does not fit.
    """
    extra += len(loaded.frame.head)
    if tokens + extra > loaded.max_positions:
        raise BadInputError(
            f"the document has {tokens} tokens, method {method!r} needs {extra} further ones in "
            f"the same pass and this model takes {loaded.max_positions}; split the document into "
            "several files, or use --method gist, which cuts it into chunks"
        )


def cache_of(
    loaded: LoadedModel,
    text: str,
    tokens: int,
    layers: KeyValues,
    *,
    chunks: int = 1,
    method: str = "gist",
    settings: dict[str, Any] | None = None,
    uneven: bool = False,
) -> GistCache:
    """Return keys and values with a description of their origin.

    Args:
        loaded: Model and tokenizer.
        text: The document.
        tokens: Tokens of the document.
        layers: Per layer keys and values `[1, K, G, D]` at positions H..H+G-1, after the head's H
            tokens; the first layer has as many positions as are used (`model/uneven`).
        chunks: Number of chunks that the document was cut into.
        method: Name of the method.
        settings: The method's settings and what it reports about its work; no text of the document.
        uneven: Whether slots whose key is all zeros are empty.

    Raises:
        UnsupportedModelError: If a number is not finite.
    """
    require_finite(layers, f"{loaded.name}, method {method!r}")
    positions, counts = layers[0][0].shape[-2], None
    slots = positions
    if uneven and is_uneven(layers):
        counts, flat = packed(layers)
        layers = unpacked(counts, flat, positions)
        slots = -(-sum(map(sum, counts)) // sum(map(len, counts)))
    info = GistInfo(
        n_context=tokens,
        n_gist=slots,
        n_positions=None if counts is None else positions,
        slots=counts,
        n_chunks=chunks,
        characters=len(text),
        full_kv_bytes=token_bytes(layers) * tokens,
        model=loaded.name,
        base=describe_base(loaded.lm),
        fingerprints=loaded.fingerprints,
        weights_sha256=loaded.weights_digest,
        n_head=len(loaded.frame.head),
        frame=loaded.frame.name,
        system=loaded.lm.spec.system,
        instruction=loaded.lm.spec.instruction,
        method=method,
        settings=settings or {},
        text_hash=text_hash(text, loaded.fingerprints),
    )
    return GistCache(layers, info)


def token_bytes(layers: KeyValues) -> int:
    """Return the bytes of one token's keys and values in all layers."""
    return sum(t.shape[1] * t.shape[3] * t.element_size() for layer in layers for t in layer)
