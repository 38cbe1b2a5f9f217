"""Answer from gists; and the control that gets the gists of another document."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dnsity.evaluation.method import Ingested
from dnsity.inference.compress import compress
from dnsity.inference.generate import Answer, answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.loaded import LoadedModel


class Gist:
    """The document's gists stand in for the document."""

    name = "gist"

    def __init__(self, loaded: LoadedModel) -> None:
        """Use this model."""
        self.loaded = loaded

    def ingest(self, document: str) -> Ingested:
        """Compress."""
        started = time.perf_counter()
        cache = compress(self.loaded, [document])[0]
        return Ingested(cache, cache.kv_bytes, time.perf_counter() - started)

    def answer(self, ingested: Ingested, questions: Sequence[str]) -> list[Answer]:
        """Ask the gists."""
        return answer(self.loaded, ingested.handle.layers, questions)


class GistOfWrongDocument(Gist):
    """Answers come from the gists of the document ingested before: content or mere presence?"""

    name = "gist_wrong_document"

    def __init__(self, loaded: LoadedModel) -> None:
        """Start without an earlier document."""
        super().__init__(loaded)
        self._before: GistCache | None = None

    def ingest(self, document: str) -> Ingested:
        """Compress, and hand out the previous document's gists (the first gets a blank's)."""
        own = super().ingest(document)
        before = self._before or compress(self.loaded, [" -" * 100])[0]
        self._before = own.handle
        return Ingested(before, own.kv_bytes, own.seconds)
