"""Rows for plain language modelling: documents one behind the other, nothing is padding."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dnsity.data.encode import TextEncoder
from dnsity.data.text.sentences import sentence_ends

_NEAR = 2000
"""Characters in which a sentence start is looked for; longer sentences are rare."""
_MARGIN = 16
"""Tokens at a cut that may differ from those of the whole text."""


def pack(rng: random.Random, texts: Sequence[str], encoder: TextEncoder, tokens: int) -> list[int]:
    """Fill a row with documents, each followed by the end token, until it holds so many tokens.

    The first is drawn at random and begins at a random sentence of it; those that follow it in the
    corpus follow, whole but for the last. Attention is not masked where documents meet: the end
    token tells them apart, as in GPT-3 (Brown et al. 2020, appendix B).

    Args:
        rng: The only source of chance.
        texts: The documents, at least one of them not blank.
        encoder: Text to ids; its `start_ids` are left to the caller.
        tokens: Length of the row, end tokens counted.

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
    """Where the sentence begins that holds a random character, so all text is as likely."""
    at = rng.randrange(len(text) or 1)
    low = max(0, at - _NEAR)
    return low + max(end for end in sentence_ends(text[low : at + _NEAR]) if end <= at - low)


def _first_ids(text: str, encoder: TextEncoder, tokens: int) -> list[int]:
    """Encode no more of a text than its first tokens take.

    A longer beginning is encoded anew instead of going on behind the cut: some tokenizers mark the
    start of what they encode, so pieces would not join to the ids of the whole.
    """
    characters = 4 * (tokens + _MARGIN)
    while True:
        ids = encoder.encode(text[:characters])
        if characters >= len(text) or len(ids) >= tokens + _MARGIN:
            return ids[:tokens]
        characters *= 2
