"""Compression methods as evaluation methods, and controls that change one part of a method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from dnsity.config import validated
from dnsity.evaluation.method import Context, Ingested, Method, MethodSettings
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.methods import COMPRESSORS, Compressor, Gist, Refine


class Compressed(Method):
    """Answers from a document's slots, compressed once; compression counts as preparation.

    Attributes:
        compressor: Compression method; its settings are those of this method.
        fixed: Settings that the user cannot change.
    """

    compressor: ClassVar[type[Compressor]]
    fixed: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        """Take the settings from the compression method."""
        super().__init_subclass__()
        cls.takes = tuple(n for n in cls.compressor.setting_names() if n not in cls.fixed)
        cls.settings_model = cls.compressor
        cls.unshared = cls.compressor.unshared
        cls.phrases = cls.compressor.phrases

    @classmethod
    def configured(cls, settings: MethodSettings, label: str) -> Compressor:
        """Return the compression method with its settings; None means its default."""
        given = {name: getattr(settings, name) for name in cls.takes}
        given = {name: value for name, value in given.items() if value is not None}
        return validated(cls.compressor, {**given, **cls.fixed}, f"method {label!r}")

    def ingest(self, document: str) -> Ingested:
        """Compress the document."""
        method = self.configured(self.settings, self.label)
        started = self.loaded.now()
        cache = method.compress(self.loaded, [document])[0]
        seconds = self.loaded.now() - started
        return Ingested(cache, seconds, method.report(cache.info.settings).note)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Return the slots."""
        cache: GistCache = ingested.handle
        return Context(cache.layers, mean_slots=cache.info.n_gist)


def method_of(compressor: type[Compressor]) -> type[Compressed]:
    """Return the evaluation method of a compression method."""
    attributes = {
        "__doc__": inspect.getdoc(compressor),
        "name": compressor.name,
        "heading": compressor.heading,
        "needs_gists": compressor.needs_gists,
        "by_default": compressor.by_default,
        "compressor": compressor,
    }
    return type(f"Compressed{compressor.__name__}", (Compressed,), attributes)


class GistOfWrongDocument(Compressed):
    """Gists of another document; shows whether answers depend on what the gists contain."""

    name = "gist_wrong_document"
    heading = "gist of the wrong document"
    compressor = Gist
    other_document = True
    needs_gists = True


class UntrainedGist(Compressed):
    """Gists before any training; shows what training adds."""

    name = "gist_untrained"
    heading = "untrained gist"
    compressor = Gist

    def ingest(self, document: str) -> Ingested:
        """Compress with the initial gist embeddings, and without the adapter."""
        _ = self.loaded.fingerprints  # cached by the model; must not be those of untrained gists
        with self.loaded.lm.untrained():
            return super().ingest(document)


class RefinedFromKeys(Compressed):
    """Refined slots that start from selected keys; shows what the trained gist adds as a start."""

    name = "refine_from_keys"
    heading = "refined from keys"
    by_default = False
    compressor = Refine
    fixed: ClassVar[Mapping[str, Any]] = {"start": "select"}


_CONTROLS: tuple[type[Compressed], ...] = (GistOfWrongDocument, UntrainedGist, RefinedFromKeys)


def compressed_methods() -> list[type[Compressed]]:
    """Return the methods of all registered compressors, each followed by its controls."""
    found: list[type[Compressed]] = []
    for compressor in COMPRESSORS.values():
        found.append(method_of(compressor))
        found += [control for control in _CONTROLS if control.compressor is compressor]
    return found
