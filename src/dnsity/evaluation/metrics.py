"""Scores of one answer against its gold answer."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Fold case, width and white space; drop punctuation around the text."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,!?\"'")


def exact(answer: str, gold: str) -> bool:
    """Say whether the answer is the gold answer and nothing else."""
    return normalise(answer) == normalise(gold)


def contains(answer: str, gold: str) -> bool:
    """Say whether the gold answer occurs in the answer."""
    return normalise(gold) in normalise(answer)
