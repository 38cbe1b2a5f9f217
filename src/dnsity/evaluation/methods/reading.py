"""Methods that prefill uncompressed text: the whole document, its ends, or its beginning.

    full             every token, prefilled for every question      the upper bound
    stored_full_kv   the same, prefilled once and stored            for its time to first token
    truncate         beginning and end, as many tokens as RAG
    lead_equal_kv    the first tokens, as many as there are gists

The middle of a document longer than the model's window is left out, as in LongBench (2308.14508,
pred.py: half of the budget from each end); the note says how much.
"""

from __future__ import annotations

from abc import abstractmethod

from dnsity.evaluation.method import Context, Ingested, Method, MethodSettings
from dnsity.gist.layout import cut
from dnsity.inference.loaded import LoadedModel


def without_middle(ids: list[int], most: int) -> list[int]:
    """Return at most `most` tokens, half of them from each end."""
    if len(ids) <= most:
        return ids
    return ids[: most - most // 2] + ids[len(ids) - most // 2 :]


def first_tokens(loaded: LoadedModel, ids: list[int], most: int) -> list[int]:
    """Return at most `most` of the first tokens, the separator from the question included."""
    if len(ids) <= most:
        return ids
    end = loaded.frame.separator[-most:]
    return ids[: most - len(end)] + end


def gist_slots(loaded: LoadedModel, settings: MethodSettings, tokens: int) -> int:
    """Return the number of gist slots of a document of this many tokens."""
    spans, each = cut(tokens, loaded.lm.spec, settings.gists)
    return len(spans) * each


class Reading(Method):
    """Base class of methods that prefill tokens for every question, which counts into the TTFT.

    Successive questions on the same tokens share one prefill, whose time counts for each of them.
    """

    def __init__(
        self, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
    ) -> None:
        """Prepare the method for a model."""
        super().__init__(loaded, settings, reserve)
        self._last: tuple[list[int], Context] | None = None

    @property
    def window(self) -> int:
        """Tokens of text that fit before question and answer."""
        return max(1, self.loaded.max_positions - len(self.loaded.frame.head) - self.reserve)

    def read(self, ids: list[int]) -> Context:
        """Prefill tokens without compression."""
        if self._last is None or self._last[0] != ids:
            self._last = None  # frees the old keys and values first
            started = self.loaded.now()
            layers = self.loaded.read(ids)
            self._last = ids, Context(layers, self.loaded.now() - started)
        return self._last[1]


class _Fixed(Reading):
    """Prefills the same tokens for all questions."""

    def ingest(self, document: str) -> Ingested:
        """Tokenise and cut; the prefill itself counts for the question."""
        started = self.loaded.now()
        ids = self.loaded.frame.document(document)
        kept = self.keep(ids)
        left_out = len(ids) - len(kept)
        note = f"read {len(kept)} of {len(ids)} tokens" if left_out else ""
        return Ingested(kept, self.loaded.now() - started, note)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Prefill the tokens."""
        return self.read(ingested.handle)

    @abstractmethod
    def keep(self, ids: list[int]) -> list[int]:
        """Return the tokens to prefill."""


class FullContext(_Fixed):
    """The whole document, or as much of it as fits the window."""

    name = "full"
    heading = "full context"

    def keep(self, ids: list[int]) -> list[int]:
        """Leave out the middle of a document that is too long."""
        return without_middle(ids, self.window)


class StoredFullContext(FullContext):
    """The whole document, prefilled once and stored, as in a prefix cache."""

    name = "stored_full_kv"
    heading = "stored full KV"

    def ingest(self, document: str) -> Ingested:
        """Prefill the document."""
        found = super().ingest(document)
        read = self.read(found.handle)
        return Ingested(Context(read.layers), found.seconds + read.seconds, found.note)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Return the stored keys and values."""
        kept: Context = ingested.handle
        return kept


class Truncated(_Fixed):
    """Beginning and end of the document; shows whether retrieval is better than truncation."""

    name = "truncate"
    heading = "truncated"
    takes = ("top", "chunk_tokens")

    def keep(self, ids: list[int]) -> list[int]:
        """Return as many tokens as retrieval uses at most."""
        return without_middle(ids, min(self.window, self.settings.chunk_tokens * self.settings.top))


class Lead(_Fixed):
    """The document's first tokens, as many as its gists: text at the same cost."""

    name = "lead_equal_kv"
    heading = "lead, equal KV"
    takes = ("gists",)

    def keep(self, ids: list[int]) -> list[int]:
        """Return the beginning, and the separator from the question."""
        return first_tokens(self.loaded, ids, gist_slots(self.loaded, self.settings, len(ids)))
