"""`Compressor`: the base class of all compression methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

from dnsity.config import Config
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel

Phrases: TypeAlias = Mapping[str, Callable[[Any], str]]
"""How tables show the value of a setting, by the setting's name."""


class Report(NamedTuple):
    """What a method reports about a finished compression.

    Attributes:
        summary: One line for the command line; empty: nothing to report.
        warning: What went wrong, without advice; empty: nothing.
        note: What an evaluation record stores next to the answers.
    """

    summary: str = ""
    warning: str = ""
    note: str = ""


class Compressor(Config, ABC):
    """One way to turn a document into gist slots; the fields are the method's settings.

    A direct subclass sets `name`, `heading` and `cost`, declares its settings as pydantic fields
    with descriptions, and implements `compress`. All other attributes and methods have a default. A
    field with `exclude=True` is internal: neither the command line nor an evaluation sets it,
    and gist files do not store it. A method that can resume has an internal field `state`, the
    path of the file that it resumes from.

    Attributes:
        name: The method's name on the command line, in configurations, gist files and records.
        heading: The method's name in tables.
        cost: Time that a document takes, in one or two words.
        advice: What to change when answers from the gist are not good enough.
        needs_gists: Requires a model with trained gist tokens.
        batched: Compresses several documents faster together than one by one.
        checked_by_default: `dnsity compress` checks answers unless told otherwise.
        by_default: Part of an evaluation that names no methods.
        unshared: Settings that mean something else in other methods. An evaluation takes them from
            the method's name only (`select:gists=60`), not from the settings of the run.
        phrases: How tables show a setting's value.
    """

    name: ClassVar[str]
    heading: ClassVar[str]
    cost: ClassVar[str]
    advice: ClassVar[str] = "use another --method"
    needs_gists: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    checked_by_default: ClassVar[bool] = True
    by_default: ClassVar[bool] = False
    unshared: ClassVar[frozenset[str]] = frozenset()
    phrases: ClassVar[Phrases] = {}

    @abstractmethod
    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents.

        Args:
            loaded: Model and tokenizer.
            texts: Documents.
            progress: Called with work done and work in total, and optionally a status line.

        Returns:
            One cache per document, in order, with slots at positions right after the frame's head.

        Raises:
            BadInputError: If the method cannot compress a document.
            UnsupportedModelError: If the method cannot use the model.
        """

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Return the settings that a user can set, in the order of their canonical form."""
        return tuple(name for name, field in cls.model_fields.items() if not field.exclude)

    def is_current(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether a gist of this method and model was made with these settings.

        Args:
            loaded: Model and tokenizer.
            info: Description of the gist.
        """
        return self.model_dump(mode="json") == info.settings

    def made(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether this method with these settings made a gist of this model."""
        return info.method == self.name and self.is_current(loaded, info)

    @classmethod
    def report(cls, settings: Mapping[str, Any]) -> Report:
        """Return what to tell the user about a compression, from the settings its gist stores."""
        return Report()
