"""Packed documents for language modeling, without padding."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dnsity.data.encode import TextEncoder
from dnsity.data.text.sentences import sentence_ends

_NEAR = 2000
"""Characters that are searched for the start of a sentence; longer sentences are rare."""
_MARGIN = 16
"""Tokens at a cut that may differ from those of the whole text."""


def pack(rng: random.Random, texts: Sequence[str], encoder: TextEncoder, tokens: int) -> list[int]:
    """Concatenate documents, each followed by the end token, to exactly so many tokens.

    A random document from a random sentence on comes first, then those after it in the corpus;
    only the last one is cut. Attention is not masked between documents: the end token separates
    them, as in GPT-3 (Brown et al. 2020, appendix B).

    Args:
        rng: The only source of randomness.
        texts: The documents, at least one of them not blank.
        encoder: Text to ids; the caller adds its `start_ids`.
        tokens: Number of ids, end tokens included.

    Returns:
        Exactly `tokens` ids.
    """
    index = rng.randrange(len(texts))
    text = texts[index][_sentence_start(rng, texts[index]) :].strip()
    ids: list[int] = []
    while True:
        ids += _first_ids(text, encoder, tokens - len(ids))
        if len(ids) == tokens:
            return ids
        if text:
            ids.append(encoder.eos_id)
        index = (index + 1) % len(texts)
        text = texts[index].strip()


def _sentence_start(rng: random.Random, text: str) -> int:
    """Return the start of the sentence around a random character."""
    at = rng.randrange(len(text) or 1)
    low = max(0, at - _NEAR)
    return low + max(end for end in sentence_ends(text[low : at + _NEAR]) if end <= at - low)


def _first_ids(text: str, encoder: TextEncoder, tokens: int) -> list[int]:
    """Return the first ids of a text without encoding all of it.

    If the encoded beginning is too short, a longer one is encoded from the start: some tokenizers
    mark the start of a text, so parts that are encoded separately do not join.
    """
    characters = 4 * (tokens + _MARGIN)
    while True:
        ids = encoder.encode(text[:characters])
        if characters >= len(text) or len(ids) >= tokens + _MARGIN:
            return ids[:tokens]
        characters *= 2
