"""Text to token ids, such that user text can never become a control token.

Segments (document, question, answer) are always encoded apart and joined as ids, and the encoder
knows no added tokens: `<GIST_0>`, `<|im_end|>` or `</s>` in a document are just characters.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from dnsity.data import chat
from dnsity.errors import BadInputError, UnsupportedModelError


class TextEncoder:
    """Encode plain text with a HuggingFace tokenizer's own pipeline, added tokens left out.

    A private copy of the backend is used, so threads share no mutable tokenizer state
    (`split_special_tokens=True` races between threads, transformers #47085).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Copy the tokenizer's backend.

        Raises:
            UnsupportedModelError: If the tokenizer is not a fast one, or has no end token.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None or tokenizer.eos_token_id is None:
            raise UnsupportedModelError(
                f"{type(tokenizer).__name__} has no tokenizers backend or no end-of-sequence "
                "token; use a model with a tokenizer.json and an eos_token"
            )
        pipeline: dict[str, Any] = json.loads(backend.to_str())
        pipeline.update(post_processor=None, truncation=None, padding=None)
        self._framing = Tokenizer.from_str(json.dumps(pipeline))
        pipeline["added_tokens"] = []
        self._plain = Tokenizer.from_str(json.dumps(pipeline))
        self._inner = Tokenizer.from_str(json.dumps(_after_other_text(pipeline)))
        self.tokenizer = tokenizer
        self.eos_id = int(tokenizer.eos_token_id)
        self._control_ids = control_ids(tokenizer)
        with_special = tokenizer("", add_special_tokens=True)["input_ids"]
        bos = tokenizer.bos_token_id
        self.start_ids: list[int] = [bos] if bos is not None and bos in with_special else []
        """What stands before a document: the beginning-of-sequence token, if the model uses one."""

    def encode(self, text: str) -> list[int]:
        """Encode text as nothing but text.

        Raises:
            BadInputError: If the text holds a lone surrogate, which no encoding can express.
        """
        try:
            ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        except (TypeError, UnicodeEncodeError) as error:
            raise BadInputError(lone_surrogate_message(text)) from error
        return self._require_no_control(ids)

    def encode_between(
        self, before: str, text: str, after: str = "", *, starts: bool = False
    ) -> list[int]:
        """Encode text as it is tokenized between two other texts, whose own tokens are left out.

        A token that covers a border belongs to `text`. No control token is ever the result.

        Args:
            before: Text in front, after the last control token.
            text: What to encode.
            after: Text that follows.
            starts: It is the beginning of a prompt.

        Raises:
            BadInputError: As `encode`.
        """
        try:
            pipeline = self._plain if starts else self._inner
            encoding = pipeline.encode(before + text + after, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError) as error:
            raise BadInputError(lone_surrogate_message(text)) from error
        start, stop = len(before), len(before) + len(text)
        ids = [
            index
            for index, (first, last) in zip(encoding.ids, encoding.offsets, strict=True)
            if last > start and first < stop
        ]
        return self._require_no_control(ids)

    def encode_frame(self, text: str) -> list[int]:
        """Encode text from the model's own files, such as a chat template; control tokens count.

        Never for what a user wrote.
        """
        ids: list[int] = self._framing.encode(text, add_special_tokens=False).ids
        return ids

    def chat_template(self) -> str:
        """Return the chat template as a question template, without what precedes a document.

        Raises:
            UnsupportedModelError: If the tokenizer has none, or one that cannot be used.
        """
        return "{question}" + chat.texts(self.tokenizer).tail

    def control_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the (start, stop) characters of the added tokens in a template's text."""
        encoding = self._framing.encode(text, add_special_tokens=False)
        return [
            span
            for index, span in zip(encoding.ids, encoding.offsets, strict=True)
            if index in self.tokenizer.added_tokens_decoder
        ]

    def _require_no_control(self, ids: list[int]) -> list[int]:
        if not self._control_ids.isdisjoint(ids):
            raise BadInputError("the text encodes to a control token of this model; remove it")
        return ids

    def border(self, text: str, tokens: int) -> int | None:
        """Say how many characters the first so many tokens cover; None if there are fewer."""
        encoding = self._plain.encode(text, add_special_tokens=False)
        span = encoding.token_to_chars(tokens - 1) if len(encoding) >= tokens else None
        return None if span is None else int(span[1])

    def cut(self, text: str, tokens: int) -> str | None:
        """Return the beginning of a text that encodes to exactly so many tokens.

        Returns:
            None if the text is shorter, or if no cut near the right place gives the exact number
            (cutting inside a word can change how the rest of it is split).
        """
        border = self.border(text, tokens)
        if border is None:
            return None
        for step in (0, -1, 1, -2, 2, -3, 3):
            cut = text[: border + step]
            if len(self.encode(cut)) == tokens:
                return cut
        return None

    def pieces(self) -> list[str]:
        """List what every token of the vocabulary stands for, a leading space kept."""
        return [self.decode([index]) for index in range(self._plain.get_vocab_size())]

    def decode(self, ids: list[int]) -> str:
        """Turn answer ids into text, control tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


def _after_other_text(part: Any) -> Any:
    """Change a pipeline so that text is tokenized as in the middle of a string.

    SentencePiece-like tokenizers put a space before the first word of a string (Metaspace's
    `prepend_scheme` "first"), which text after other text does not get.
    """
    if isinstance(part, list):
        return [_after_other_text(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Metaspace" and part.get("prepend_scheme") == "first":
        return {**part, "prepend_scheme": "never"}
    return {key: _after_other_text(value) for key, value in part.items()}


def control_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Say which tokens steer a model, so that no text may become one.

    Special tokens, and added ones that the tokenizer declares as such (`chat_control_tokens`) or
    its chat template writes. Some vocabularies spell them out, and then text can reach them.
    """
    declared = getattr(tokenizer, "chat_control_tokens", None)
    template = str(tokenizer.chat_template or "")
    steering = (
        index
        for index, token in tokenizer.added_tokens_decoder.items()
        if (
            token.content in declared
            if declared is not None
            else token.content in template and not token.content.isspace()
        )
    )
    return frozenset([*tokenizer.all_special_ids, *steering])


def lone_surrogate_message(text: str) -> str:
    """Say where a lone surrogate stands."""
    position = next((i for i, c in enumerate(text) if 0xD800 <= ord(c) <= 0xDFFF), None)
    return (
        f"the text holds a lone surrogate at character {position}, which is not valid Unicode; "
        "decode the source with the right encoding or remove it"
    )
