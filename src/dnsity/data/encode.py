"""Text to token ids, such that user text can never become a control token.

Segments (document, question, answer) are always encoded separately and joined as ids, and the
encoder has no token that controls a model: `<GIST_0>`, `<|im_end|>` or `</s>` in a document are
only characters. Added tokens that control nothing (HTML tags, line breaks) are ordinary words.
"""

from __future__ import annotations

import json
from typing import Any

from transformers import PreTrainedTokenizerBase

from dnsity.data.text import chat
from dnsity.data.text.pipelines import Encoded, Pipeline, Place, prefix_ids
from dnsity.errors import BadInputError, UnsupportedModelError


class TextEncoder:
    """Encodes plain text with the pipeline of a Hugging Face tokenizer, without control tokens.

    A private copy of the backend is used, so threads share no mutable tokenizer state
    (`split_special_tokens=True` races between threads, transformers #47085).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str = "") -> None:
        """Copy the tokenizer's backend.

        Args:
            tokenizer: Its added tokens that control nothing are words.
            template: A question template; added tokens in it are also control tokens.

        Raises:
            UnsupportedModelError: If the tokenizer is not a fast one, or has no end token.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or tokenizer.eos_token_id is None:
            raise UnsupportedModelError(
                f"{type(tokenizer).__name__} has no tokenizers backend or no end-of-sequence "
                "token; use a model with a tokenizer.json and an eos_token"
            )
        state: dict[str, Any] = json.loads(backend.to_str())
        self._control_ids = control_ids(tokenizer, template)
        added = state["added_tokens"]
        plain = [t for t in added if not t["special"] and t["id"] not in self._control_ids]
        self._framing, self._plain = Pipeline(state, added), Pipeline(state, plain)
        self.tokenizer = tokenizer
        self.eos_id = int(tokenizer.eos_token_id)
        self.start_ids: list[int] = prefix_ids(tokenizer)
        """The ids that the tokenizer puts before any text."""

    def with_control_tokens_of(self, template: str) -> TextEncoder:
        """Return an encoder that never produces an added token of this template from text."""
        if control_ids(self.tokenizer, template) <= self._control_ids:
            return self
        return TextEncoder(self.tokenizer, template)

    def encode(self, text: str, place: Place = "start") -> list[int]:
        """Encode text without control tokens.

        Args:
            text: The text.
            place: What it follows.

        Raises:
            BadInputError: If the text has a lone surrogate, which cannot be encoded.
        """
        return self._require_no_control(self._cut(text, text, place).ids)

    def encode_between(
        self, before: str, text: str, after: str = "", *, starts: bool = False
    ) -> list[int]:
        """Encode text as it is tokenized between two other texts; return its ids only.

        A token that covers a border belongs to `text`. No control token is ever the result.

        Args:
            before: Text in front, after the last control token.
            text: What to encode.
            after: Text that follows.
            starts: Whether it is the beginning of a prompt.

        Raises:
            BadInputError: As `encode`.
        """
        encoded = self._cut(before + text + after, text, "start" if starts else "control")
        start, stop = len(before), len(before) + len(text)
        ids = [
            index
            for index, (first, last) in zip(encoded.ids, encoded.offsets, strict=True)
            if last > start and first < stop
        ]
        return self._require_no_control(ids)

    def encode_frame(self, text: str, place: Place = "start") -> list[int]:
        """Encode text of the model's files, such as a chat template, with its control tokens.

        Not for text that a user wrote.
        """
        return self._framing.encode(text, place).ids

    def place_after(self, text: str, place: Place) -> Place:
        """Return the place after a template's text that is itself at `place`."""
        if not text:
            return place
        return (
            "control" if any(stop == len(text) for _, stop in self.control_spans(text)) else "text"
        )

    def first_control(self, text: str) -> list[int]:
        """Return the first control token in a template's text, or an empty list."""
        found = [index for index, _ in self._framing.added(text) if index in self._control_ids]
        return found[:1]

    def chat_template(self) -> str:
        """Return the chat template as a question template, without what precedes a document.

        Raises:
            UnsupportedModelError: If the tokenizer has none, or one that cannot be used.
        """
        return "{question}" + chat.texts(self.tokenizer).tail

    def control_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the (start, stop) characters of the added tokens in a template's text."""
        return [span for _, span in self._framing.added(text)]

    def _cut(self, text: str, given: str, place: Place) -> Encoded:
        try:
            return self._plain.encode(text, place)
        except (TypeError, UnicodeEncodeError) as error:
            raise BadInputError(lone_surrogate_message(given)) from error

    def _require_no_control(self, ids: list[int]) -> list[int]:
        if not self._control_ids.isdisjoint(ids):
            raise BadInputError("the text encodes to a control token of this model; remove it")
        return ids

    def offset_after(self, text: str, tokens: int) -> int | None:
        """Return the character offset after so many tokens; None if the text has fewer."""
        offsets = self._plain.encode(text).offsets
        return offsets[tokens - 1][1] if len(offsets) >= tokens else None

    def cut(self, text: str, tokens: int) -> str | None:
        """Return the beginning of a text that encodes to exactly so many tokens.

        Returns:
            None if the text is shorter, or if no cut near the right place gives the exact number
            (a cut inside a word can change how the rest of the word is tokenized).
        """
        stop = self.offset_after(text, tokens)
        if stop is None:
            return None
        for step in (0, -1, 1, -2, 2, -3, 3):
            cut = text[: stop + step]
            if len(self.encode(cut)) == tokens:
                return cut
        return None

    def token_texts(self) -> list[str]:
        """Return the text of every token of the vocabulary, with its leading space."""
        return [self.decode([index]) for index in range(self._plain.size())]

    def decode(self, ids: list[int]) -> str:
        """Decode answer ids, without control tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


def control_ids(tokenizer: PreTrainedTokenizerBase, template: str = "") -> frozenset[int]:
    """Return the ids that control a model; user text never becomes one of them.

    These are special tokens, added tokens in a question template, and added tokens that the
    tokenizer declares (`chat_control_tokens`; without a declaration those in its chat template).
    In some vocabularies user text could produce them. The token of unknown characters is not a
    control token unless it is also one of the others.
    """
    declared = getattr(tokenizer, "chat_control_tokens", None)
    if declared is None:
        template += str(tokenizer.chat_template or "")
    steering = (
        index
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.content in (declared or ())
        or (token.content in template and not token.content.isspace())
    )
    ends = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(index for index, token in added if token.special)}
    special -= {*_unknown_ids(tokenizer)} - {*ends}
    return frozenset([*special, *steering])


def _unknown_ids(tokenizer: PreTrainedTokenizerBase) -> list[int | None]:
    """Return the ids of characters that are missing in the vocabulary."""
    encoded: list[int] = tokenizer("\U000e0fff", add_special_tokens=False)["input_ids"]
    return [tokenizer.unk_token_id, *encoded]


def lone_surrogate_message(text: str) -> str:
    """Return an error message with the position of a lone surrogate."""
    position = next((i for i, c in enumerate(text) if 0xD800 <= ord(c) <= 0xDFFF), None)
    return (
        f"the text has a lone surrogate at character {position}, which is not valid Unicode; "
        "decode the source with the right encoding or remove it"
    )
