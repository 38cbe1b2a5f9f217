"""Answer from gists; and its two controls: another document's gists, and untrained gists."""

from __future__ import annotations

from abc import abstractmethod

from dnsity.evaluation.method import Context, Ingested, Method
from dnsity.inference import methods
from dnsity.inference.compress import compress
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.methods.gist import Gist as Compression


class Compressed(Method):
    """A document compressed once, by whatever method; its seconds are the cold part."""

    def ingest(self, document: str) -> Ingested:
        """Compress."""
        started = self.loaded.now()
        cache = compress(self.loaded, [document], method=self.how())[0]
        return Ingested(cache, self.loaded.now() - started, self.note(cache))

    @abstractmethod
    def how(self) -> methods.Method:
        """Say by which method of compression."""

    def note(self, cache: GistCache) -> str:
        """Say what a reader of the score must know."""
        return ""

    def context(self, ingested: Ingested, question: str) -> Context:
        """Take the slots."""
        cache: GistCache = ingested.handle
        return Context(cache.layers, mean_slots=cache.info.n_gist)


class Gist(Compressed):
    """The document's gists stand in for the document; a long one is chunked, never cut."""

    name = "gist"
    heading = "gist"
    needs_gists = True

    def how(self) -> methods.Method:
        """Compress with gist tokens, `method.gists` of them."""
        return Compression(gists=self.settings.gists)


class GistOfWrongDocument(Gist):
    """Gists of another document: is their content used, or their mere presence?"""

    name = "gist_wrong_document"
    heading = "gist of the wrong document"
    other_document = True


class UntrainedGist(Gist):
    """Gists as they are before any training: what does training add?"""

    name = "gist_untrained"
    heading = "untrained gist"
    needs_gists = False

    def ingest(self, document: str) -> Ingested:
        """Compress with the rows that training starts from, and without the adapter."""
        _ = self.loaded.fingerprints  # kept by the model, so not to be taken of untrained gists
        with self.loaded.lm.untrained():
            return super().ingest(document)
