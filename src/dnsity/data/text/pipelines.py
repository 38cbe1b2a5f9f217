"""A tokenizer's pipeline, for text at three possible places.

    start     the beginning of a prompt:     "▁The", where a tokenizer puts a space there
    control   right after a control token:   as the library continues there
    text      after other text:              never a space that is not in the text

SentencePiece-like tokenizers (Metaspace, Prepend) and some byte-level ones put a space in front of
the first word. Texts that are encoded separately and joined as ids must not all get such a space.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

Place: TypeAlias = Literal["start", "control", "text"]
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text.

    Attributes:
        ids: Token ids, numbered as in the whole tokenizer.
        offsets: The start and stop character of each token.
    """

    ids: list[int]
    offsets: list[Span]


class Pipeline:
    """Tokenizes text with some of a tokenizer's added tokens."""

    def __init__(self, state: dict[str, Any], added: list[dict[str, Any]]) -> None:
        """Build private copies of the tokenizer, one per place.

        Args:
            state: The tokenizer's state as JSON.
            added: The added tokens that text may become.
        """
        state = {**state, "post_processor": None, "truncation": None, "padding": None}
        self._whole = _tokenizer(state, added)
        self._original_id = {}
        for token in added:  # removing some renumbers those outside the model's vocabulary
            found = self._whole.token_to_id(token["content"])
            if found != token["id"]:
                self._original_id[found] = int(token["id"])
        self._fuses = state["model"].get("type") == "Unigram" and state["model"]["byte_fallback"]
        self._added = {int(token["id"]): str(token["content"]) for token in added}
        self._first: dict[Place, Tokenizer] = {"start": self._whole}
        for place in ("control", "text"):
            changed = {
                **state,
                "normalizer": _continued(state["normalizer"], place),
                "pre_tokenizer": _continued(state["pre_tokenizer"], place),
            }
            if changed != state:
                self._first[place] = _tokenizer(changed, added)

    def encode(self, text: str, place: Place = "start") -> Encoded:
        """Encode text at a place; only what precedes the first added token depends on it."""
        first = self._first.get(place, self._whole)
        if first is self._whole or place == "control":
            return self._encode(first, text)
        border = next((start for _, (start, _) in self.added(text)), len(text))
        head, rest = self._encode(first, text[:border]), self._encode(self._whole, text[border:])
        moved = [(start + border, stop + border) for start, stop in rest.offsets]
        return Encoded(head.ids + rest.ids, head.offsets + moved)

    def added(self, text: str) -> list[tuple[int, Span]]:
        """Find the added tokens in a text, with the characters of each."""
        encoded = self._encode(self._whole, text)
        return [
            (id_, (start, stop))
            for id_, (start, stop) in zip(encoded.ids, encoded.offsets, strict=True)
            # Unknown characters become an added token, too.
            if id_ in self._added and self._added[id_] in text[start:stop]
        ]

    def size(self) -> int:
        """Return the number of tokens of the model, without added ones."""
        return self._whole.get_vocab_size(with_added_tokens=False)

    def _encode(self, tokenizer: Tokenizer, text: str) -> Encoded:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids, encoding.offsets
        if self._fuses:
            offsets = _per_character(text, offsets)
        if self._original_id:
            ids = [self._original_id.get(each, each) for each in ids]
        return Encoded(ids, offsets)


def prefix_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids that a tokenizer puts before every text."""
    encoding = tokenizer("a", padding=False, truncation=False)
    own = [number for number, part in enumerate(encoding.sequence_ids()) if part is not None]
    ids: list[int] = encoding["input_ids"]
    return ids[: own[0]] if own else []


def _tokenizer(state: dict[str, Any], added: list[dict[str, Any]]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps({**state, "added_tokens": added}))


def _continued(part: Any, place: Place) -> Any:
    """Change a normalizer or pre-tokenizer so that it adds no space before a text.

    After a control token only Metaspace with the scheme "first" adds none; after text no part adds
    one. A sequence that first splits into words keeps the space of every word.
    """
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "Sequence":
        key = "normalizers" if "normalizers" in part else "pretokenizers"
        parts = [_continued(each, place) for each in part[key]]
        if key == "pretokenizers":  # the first one that splits
            parts = [parts[0], *part[key][1:]] if _splits(part[key][0]) else parts
        return {**part, key: [each for each in parts if each is not None]}
    if kind == "Metaspace" and (place == "text" or part.get("prepend_scheme") == "first"):
        return {**part, "prepend_scheme": "never"}
    if place == "text" and kind == "ByteLevel":
        return {**part, "add_prefix_space": False}
    if place == "text" and kind in ("Prepend", "Strip"):
        return None
    return part


def _per_character(text: str, offsets: list[Span]) -> list[Span]:
    """Give each byte of consecutive unknown characters the offsets of its own character."""
    found: list[Span] = []
    while len(found) < len(offsets):
        start, stop = span = offsets[len(found)]
        characters = [
            (start + number, start + number + 1)
            for number, character in enumerate(text[start:stop])
            for _ in character.encode()
        ]
        row = offsets[len(found) : len(found) + len(characters)]
        bytes_ = stop - start > 1 and row == [span] * len(characters)
        found += characters if bytes_ else [span]
    return found


def _splits(part: dict[str, Any]) -> bool:
    """Return whether a pre-tokenizer splits text before any part that adds a space."""
    return part.get("type") not in ("Metaspace", "ByteLevel")
