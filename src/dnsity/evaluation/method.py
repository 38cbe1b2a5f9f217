"""How questions are answered: a method only determines the context of a question.

    ingest(document) -> handle        once per document; its time counts as preparation
    context(handle, question)         keys and values before the question; its time is in every TTFT
    answer, choose                    the same code for every method: same question, same decoding

All methods therefore ask the same questions; only the context differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, create_model

from dnsity.config import Config
from dnsity.data.example import Question
from dnsity.inference.generate import GREEDY, Sampling, answer
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import COMPRESSORS
from dnsity.inference.methods.compressor import Phrases
from dnsity.model.key_values import size_bytes, slots_of
from dnsity.shapes import KeyValues


class _BaselineSettings(Config):
    """Settings of the baselines, which mypy knows; those of compressors are added below."""

    chunk_tokens: int = Field(
        default=128, ge=1, description="Maximum tokens of the chunks that retrieval searches."
    )
    top: int = Field(
        default=3,
        ge=1,
        description="Chunks that retrieval puts into the context; `truncate` takes as many tokens.",
    )
    gists: int | None = Field(
        default=None, ge=1, description="Gists per window (default: all that were trained)."
    )
    dense_model: str | None = Field(
        default=None,
        description="Sentence-transformers model of `rag_dense`: a directory or a hub id.",
    )


def _compressor_settings() -> dict[str, Any]:
    """Return the settings of all compressors as fields; None means a compressor's own default."""
    fields: dict[str, Any] = {}
    for compressor in COMPRESSORS.values():
        for name in compressor.setting_names():
            if name not in fields and name not in _BaselineSettings.model_fields:
                field = compressor.model_fields[name]
                kind = field.rebuild_annotation() | None
                fields[name] = (kind, Field(None, description=field.description))
    return fields


if TYPE_CHECKING:
    MethodSettings = _BaselineSettings
else:
    MethodSettings = create_model(
        "MethodSettings",
        __base__=_BaselineSettings,
        __module__=__name__,
        __doc__="Settings of all methods in a run: those of baselines and of every compressor.",
        **_compressor_settings(),
    )


@dataclass(frozen=True, slots=True)
class Ingested:
    """A document prepared by a method.

    Attributes:
        handle: Data that `context` needs.
        seconds: Duration of the preparation.
        note: Anything that affects how to interpret the score, such as omitted text.
    """

    handle: Any
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """The keys and values that a question is conditioned on.

    Attributes:
        layers: Keys and values `[1, K, S, D]` per layer, without the frame's head; None: nothing.
        seconds: Time to get them, once the question was known.
        mean_slots: Mean slots per head, if heads have different numbers of slots.
    """

    layers: KeyValues | None
    seconds: float = 0.0
    mean_slots: int | None = None

    @property
    def slots(self) -> int:
        """Number of slots in the key/value cache."""
        if self.mean_slots is not None:
            return self.mean_slots
        return slots_of(self.layers)

    @property
    def kv_bytes(self) -> int:
        """Size of the key/value cache, including empty slots of shorter heads."""
        return size_bytes(self.layers or ())


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a method to one question.

    Attributes:
        text: The answer including white space around it, which matters for code; for multiple
            choice the most likely choice.
        ttft_s: Seconds from the question to the first token (to the choice).
        seconds: Seconds for the whole answer.
        new_tokens: Generated tokens, without the end token.
        slots: Slots of the key/value cache before the question.
        kv_bytes: Size of these slots.
    """

    text: str
    ttft_s: float
    seconds: float
    new_tokens: int
    slots: int
    kv_bytes: int


class Method(ABC):
    """Base class of all ways to answer questions about a document.

    Attributes:
        name: The method's name in configurations and records.
        label: The name with the settings given with it, in records.
        heading: The method's name in tables.
        other_document: The caller ingests another document than the one it asks about.
        needs_gists: Requires a model with trained gists.
        by_default: Part of a run that names no methods.
        takes: Settings that a name can carry, in the order of the canonical name.
        settings_model: Model that validates these settings.
        unshared: Settings that this method takes from its name only, not from those of the run.
        phrases: How tables show a setting's value.
    """

    name: ClassVar[str]
    label: str
    heading: ClassVar[str]
    other_document: ClassVar[bool] = False
    needs_gists: ClassVar[bool] = False
    by_default: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    settings_model: ClassVar[type[Config]] = MethodSettings
    unshared: ClassVar[frozenset[str]] = frozenset()
    phrases: ClassVar[Phrases] = {
        "top": "top {}".format,
        "chunk_tokens": "chunks of {} tokens".format,
        "dense_model": lambda model: str(model).rstrip("/").rpartition("/")[2],
        "gists": "{} slots".format,
    }

    @classmethod
    def configured(cls, settings: MethodSettings, label: str) -> Config:
        """Return the settings that the method uses.

        Args:
            settings: Settings of the run, overridden by those in the method's name.
            label: The method's name with its settings, for messages.

        Raises:
            BadInputError: If the method does not accept the settings together.
        """
        return settings

    def __init__(
        self, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
    ) -> None:
        """Prepare the method for a model.

        Args:
            loaded: Model and tokenizer.
            settings: Settings of the method.
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
            BadInputError: If the method cannot use it.
        """

    @abstractmethod
    def context(self, ingested: Ingested, question: str) -> Context:
        """Return the keys and values that a question is conditioned on."""

    def answer(
        self, ingested: Ingested, questions: Sequence[str], sampling: Sampling = GREEDY
    ) -> list[Reply]:
        """Answer questions one at a time, so that each is timed on its own."""
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
        """Choose the answer with the highest log-likelihood per character.

        Longer choices have lower likelihoods; dividing by characters is the `acc_norm` of the
        lm-evaluation-harness.
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
