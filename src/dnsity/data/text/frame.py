"""Prompt formats ("frames"): document, question and answer as token ids.

            head                        document    question                      answer
    plain   [start]                     [document]  [Q: question A:]              [answer, end]
    chat    [start, system, user turn]  [document]  [question, assistant's turn]  [answer, end]

The head is the same for every document; the gists replace the document's tokens between head and
question. In the chat frame the ids of head, document and question equal those of
`apply_chat_template`, which is checked when the frame is built.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from dnsity.data.encode import TextEncoder
from dnsity.data.text import chat
from dnsity.data.text.chat import SEPARATOR, Turn
from dnsity.data.text.pipelines import Place
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.gist.spec import FrameName, GistSpec

_PROBES = (
    ("The harbour office opens at nine.", "When does it open?"),
    ("2024: 17 ships; 3 boats", "1. How many?"),
    ("나루터 안내소는 열 시에 문을 엽니다.", "몇 시에 엽니까?"),
    ('"Well," she said,\n- a list\n\n\tand more ', "(And who said it?)"),
)
"""Documents and questions with different borders, on which a frame is checked."""
_ANY = "a"
"""A letter in place of unknown text."""


class Frame(ABC):
    """The prompt format of a model.

    Attributes:
        name: `plain` or `chat`.
        space: Text between the question's template and an answer.
        encoder: Text to ids.
        head: Ids in front of every document.
        end_ids: Ids that end an answer, at least one.
    """

    name: ClassVar[FrameName]
    space: ClassVar[str]

    def __init__(self, encoder: TextEncoder, head: list[int], end_ids: Sequence[int]) -> None:
        """Set the attributes of every frame."""
        self.encoder, self.head, self.end_ids = encoder, head, tuple(end_ids)

    @abstractmethod
    def document(self, text: str) -> list[int]:
        """Encode a document, without the head.

        Raises:
            BadInputError: If the text has a lone surrogate.
        """

    @abstractmethod
    def question(self, text: str, *, alone: bool = False) -> list[int]:
        """Encode a question and the template around it, up to the answer.

        Args:
            text: The question.
            alone: Whether it follows the head directly, without a document.
        """

    @abstractmethod
    def conversation(self, turns: Sequence[Turn], question: str) -> list[int]:
        """Encode earlier turns after a document, and the next question.

        Args:
            turns: Questions and answers.
            question: The next question.

        Raises:
            UnsupportedModelError: If the template cannot continue a conversation.
        """

    @abstractmethod
    def continuation(self, text: str) -> list[int]:
        """Encode text that follows a question, white space included, without an end token."""

    def answer(self, text: str) -> list[int]:
        """Encode a gold answer as the model is to generate it, with its end token."""
        return [*self.continuation(self.space + text), self.end_ids[0]]

    @property
    def separator(self) -> list[int]:
        """Ids that end every document; none in the plain frame."""
        return []

    @property
    def fingerprints(self) -> dict[str, str]:
        """Digest of the frame, which a gist must match; none in the plain frame."""
        return {}


class Plain(Frame):
    """Plain text and a question template, without a chat template."""

    name, space = "plain", " "

    def __init__(self, encoder: TextEncoder, template: str) -> None:
        """Use a template with `{question}` in it."""
        encoder = encoder.with_control_tokens_of(template)
        super().__init__(encoder, encoder.start_ids, [encoder.eos_id])
        self.template = template
        self._before, self._after = template.split("{question}")
        start = str(encoder.tokenizer.bos_token or "")
        if start and self._before.startswith(start):  # once, at the very beginning
            self._before = self._before.removeprefix(start)
            self.head = self.head or encoder.encode_frame(start)

    def document(self, text: str) -> list[int]:
        """Encode a document unchanged."""
        return self.encoder.encode(text)

    def question(self, text: str, *, alone: bool = False) -> list[int]:
        """Encode template and question separately; the template may have control tokens."""
        place: Place = "start" if alone else "text"
        ids = self.encoder.encode_frame(self._before, place)
        ids += self.encoder.encode(text, self.encoder.place_after(self._before, place))
        return ids + self.encoder.encode_frame(self._after, "text")

    def conversation(self, turns: Sequence[Turn], question: str) -> list[int]:
        """Encode earlier questions and answers, without end tokens, and the next question."""
        found: list[int] = []
        for asked, answer in turns:
            found += self.question(asked) + self.continuation(self.space + answer)
        return found + self.question(question)

    def continuation(self, text: str) -> list[int]:
        """Encode text unchanged."""
        return self.encoder.encode(text, self.encoder.place_after(self._after, "text"))


class Chat(Frame):
    """The tokenizer's chat template; document and first question are in one user turn."""

    name, space = "chat", ""

    def __init__(
        self, encoder: TextEncoder, system: str | None = None, instruction: str | None = None
    ) -> None:
        """Split the template and compare it with the library.

        Args:
            encoder: Its tokenizer has the chat template.
            system: System prompt (None: the template's default).
            instruction: Text between document and question (None: none).

        Raises:
            UnsupportedModelError: If there is no template, or head, document and question encoded
                separately differ from the tokenized whole.
        """
        self.system, self.instruction = system, instruction
        self._texts = chat.texts(encoder.tokenizer, system)
        ends = encoder.first_control(self._texts.end)
        super().__init__(encoder, [], list(dict.fromkeys([*ends, encoder.eos_id])))
        last = max((stop for _, stop in encoder.control_spans(self._texts.head)), default=0)
        fixed, lead = self._texts.head[:last], self._texts.head[last:]
        # A space at the end of the head forms a token with the document's first word, as in
        # "[INST] Hello", so it belongs to the document.
        self._before = lead.rstrip(" ")
        self._joined = lead[len(self._before) :]
        lead_ids = encoder.encode_between("", self._before, _ANY, starts=not fixed)
        self.head = encoder.encode_frame(fixed) + lead_ids
        if self._equals_the_library():
            return
        raise UnsupportedModelError(
            "the chat template of this tokenizer cannot be put together from head, document and "
            "question: the library tokenizes the whole in another way; use frame 'plain'"
        )

    def document(self, text: str) -> list[int]:
        """Encode a document and the separator after it; leading space is dropped."""
        text = self._joined + text.lstrip() + SEPARATOR
        return self.encoder.encode_between(self._before, text, _ANY)

    def question(self, text: str, *, alone: bool = False) -> list[int]:
        """Encode instruction and question in the user's turn, and the assistant's header."""
        text = self._instructed(text)
        if alone:
            return self._encode([self._joined + text], [self._texts.tail], before=self._before)
        return self._encode([text], [self._texts.tail], before=SEPARATOR)

    def conversation(self, turns: Sequence[Turn], question: str) -> list[int]:
        """Encode every turn as in the template's whole conversation."""
        after = chat.after_document(self.encoder.tokenizer, len(turns), system=self.system)
        first, *more = [text for turn in turns for text in turn] + [question]
        return self._encode([self._instructed(first), *more], after, before=SEPARATOR)

    def continuation(self, text: str) -> list[int]:
        """Encode text as it is tokenized after the assistant's header."""
        return self.encoder.encode_between(self._after_control(self._texts.tail), text)

    @property
    def separator(self) -> list[int]:
        """Ids of the blank line after a document."""
        return self.encoder.encode_between(_ANY, SEPARATOR, _ANY)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Digest of all texts of the template, system prompt and instruction."""
        texts = [self._texts.head, SEPARATOR, self.instruction, self._texts.tail]
        return {"frame": hashlib.sha256(json.dumps(texts).encode()).hexdigest()}

    def _instructed(self, question: str) -> str:
        return SEPARATOR.join(part for part in (self.instruction, question) if part)

    def _encode(self, messages: Sequence[str], after: Sequence[str], *, before: str) -> list[int]:
        """Encode messages, each followed by a text of the template with its control tokens.

        Text between two control tokens is encoded together, as the library does.

        Args:
            messages: Messages of user and model.
            after: The template's text after each message.
            before: Text in front of the first message, after the last control token.
        """
        ids: list[int] = []
        stretch = ""
        for message, template in zip(messages, after, strict=True):
            stretch, rest = stretch + message, 0
            for start, stop in self.encoder.control_spans(template):
                ids += self.encoder.encode_between(before, stretch + template[rest:start])
                ids += self.encoder.encode_frame(template[start:stop])
                before, stretch, rest = "", "", stop
            stretch += template[rest:]
        return ids + self.encoder.encode_between(before, stretch)

    def _after_control(self, template: str) -> str:
        """Return the end of a template's text after its last control token."""
        spans = self.encoder.control_spans(template)
        return template[spans[-1][1] :] if spans else template

    def _equals_the_library(self) -> bool:
        """Compare with `apply_chat_template`, tokenized by the library."""
        for text, question in _PROBES:
            for document in (text, ""):
                ours = self.document(document) if document else []
                ours = self.head + ours + self.question(question, alone=not document)
                if ours != self.ids_of_the_library(document, question):
                    return False
        return True

    def ids_of_the_library(self, document: str, question: str) -> list[int]:
        """Return the library's ids of the same message, which the frame must equal."""
        conversation = chat.messages(
            document, [], question, system=self.system, instruction=self.instruction
        )
        ids: list[int] = chat.apply(
            self.encoder.tokenizer, conversation, tokenize=True, return_dict=False
        )
        return ids


def frame_of(encoder: TextEncoder, spec: GistSpec) -> Frame:
    """Return the prompt format of a model.

    Args:
        encoder: Encoder of the model's tokenizer.
        spec: Names the frame; `auto` is chat if the tokenizer has a template.

    Raises:
        UnsupportedModelError: If the chat template is missing or cannot be used.
        BadInputError: If a plain frame is given a system prompt or an instruction.
    """
    if spec.settled(bool(encoder.tokenizer.chat_template)).frame == "chat":
        return Chat(encoder, spec.system, spec.instruction)
    given = {"system": spec.system, "instruction": spec.instruction}
    if named := [name for name, text in given.items() if text is not None]:
        raise BadInputError(
            f"the plain frame has no {' or '.join(named)}; use frame 'chat', or write it into "
            "question_template"
        )
    return Plain(encoder, spec.question_template)
