"""How questions are answered: a method says what stands before a question, and nothing else.

    ingest(document) -> handle        once per document; its time is the cold part
    context(handle, question)         keys and values before the question; its time is in every TTFT
    answer, choose                    the same code for every method: same question, same decoding

So methods cannot differ in what they ask, only in what the model has before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from dnsity.config import Config
from dnsity.data.example import Question
from dnsity.inference.generate import GREEDY, Sampling, answer
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.loaded import LoadedModel
from dnsity.shapes import KeyValues


class MethodSettings(Config):
    """What methods leave to the user.

    Attributes:
        chunk_tokens: Longest chunk that retrieval cuts a document into.
        top: Chunks retrieval reads; `truncate` reads as many tokens as they hold at most.
        gists: Gists per window, the model's first so many (None: all it was trained with).
        dense_model: Sentence-transformers model of `rag_dense`: a directory or a hub id.
        ratio: Document tokens per slot of `select` (None: its default).
        even: Whether `select` keeps the same number of slots in every head.
        minutes: How long a document is refined at most, see `inference.methods.refine`.
        steps: How many steps at most.
    """

    chunk_tokens: int = Field(default=128, ge=1)
    top: int = Field(default=3, ge=1)
    gists: int | None = Field(default=None, ge=1)
    dense_model: str | None = None
    ratio: float | None = Field(default=None, ge=1)
    even: bool = False
    minutes: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=0)


@dataclass(frozen=True, slots=True)
class Ingested:
    """A document as one method keeps it.

    Attributes:
        handle: What `context` needs.
        seconds: What ingesting took.
        note: What a reader of the score must know, such as that text was left out.
    """

    handle: Any
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a question is conditioned on.

    Attributes:
        layers: Keys and values `[1, K, S, D]` per layer, without the frame's head; None: nothing.
        seconds: What it took, once the question was known.
        mean_slots: Of a head, where heads hold different numbers of them.
    """

    layers: KeyValues | None
    seconds: float = 0.0
    mean_slots: int | None = None

    @property
    def slots(self) -> int:
        """Slots of key/value cache."""
        if self.mean_slots is not None:
            return self.mean_slots
        return 0 if self.layers is None else self.layers[0][0].shape[-2]

    @property
    def kv_bytes(self) -> int:
        """Their size, with the empty slots of heads that hold fewer."""
        return sum(t.numel() * t.element_size() for layer in self.layers or () for t in layer)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a method answered.

    Attributes:
        text: The answer with the white space around it, which code is scored by; of multiple choice
            the choice held likeliest.
        ttft_s: Seconds from the question to the first token (to the choice).
        seconds: Seconds for the whole answer.
        new_tokens: Tokens generated, the end token not counted.
        slots: Slots of key/value cache before the question.
        kv_bytes: Their size.
    """

    text: str
    ttft_s: float
    seconds: float
    new_tokens: int
    slots: int
    kv_bytes: int


class Method(ABC):
    """One way to answer questions about a document.

    Attributes:
        name: In configurations, records and tables.
        label: The name with the settings it was asked for by, in records and tables.
        heading: What tables call it.
        other_document: The caller ingests another document than the one it asks about.
        needs_gists: Makes sense only for a model whose gists were trained.
        by_default: Belongs to a run that names no methods.
    """

    name: ClassVar[str]
    label: str
    heading: ClassVar[str]
    other_document: ClassVar[bool] = False
    needs_gists: ClassVar[bool] = False
    by_default: ClassVar[bool] = True

    def __init__(
        self, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
    ) -> None:
        """Use this model.

        Args:
            loaded: Model and tokenizer.
            settings: See there.
            reserve: Positions to keep free for question and answer.
        """
        self.loaded = loaded
        self.settings = settings or MethodSettings()
        self.reserve = reserve
        self.label = self.name

    @abstractmethod
    def ingest(self, document: str) -> Ingested:
        """Prepare a document before any question is known.

        Raises:
            BadInputError: If the method cannot take it.
        """

    @abstractmethod
    def context(self, ingested: Ingested, question: str) -> Context:
        """Give what stands before a question."""

    def answer(
        self, ingested: Ingested, questions: Sequence[str], sampling: Sampling = GREEDY
    ) -> list[Reply]:
        """Answer questions one at a time, so that each has a time of its own."""
        replies = []
        for question in questions:
            context = self.context(ingested, question)
            given = answer(self.loaded, context.layers, [question], sampling)[0]
            replies.append(
                Reply(
                    given.text,
                    given.ttft_s + context.seconds,
                    given.seconds + context.seconds,
                    given.new_tokens,
                    context.slots,
                    context.kv_bytes,
                )
            )
        return replies

    def choose(self, ingested: Ingested, questions: Sequence[Question]) -> list[Reply]:
        """Take the choice that is likeliest per character.

        Longer choices have smaller likelihoods for no fault of their own; dividing by characters is
        `acc_norm` of the lm-evaluation-harness.
        """
        replies, space = [], self.loaded.frame.space
        for question in questions:
            context = self.context(ingested, question.text)
            started = self.loaded.now()
            found = likelihoods(
                self.loaded, context.layers, question.text, [space + c for c in question.choices]
            )
            seconds = self.loaded.now() - started + context.seconds
            per_character = [
                likelihood.log / len(choice)
                for likelihood, choice in zip(found, question.choices, strict=True)
            ]
            chosen = question.choices[per_character.index(max(per_character))]
            replies.append(Reply(chosen, seconds, seconds, 0, context.slots, context.kv_bytes))
        return replies
