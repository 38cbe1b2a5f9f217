"""Methods that read text as it is: the whole document, its ends, or its beginning.

    full             every token, read for every question           the ceiling
    stored_full_kv   the same, read once and kept                   for its time to first token
    truncate         beginning and end, as many tokens as RAG reads
    lead_equal_kv    the first tokens, as many as there are gists

A document longer than the model's window loses its middle, as LongBench does it (2308.14508,
pred.py: half of the budget from each end); the note says how much.
"""

from __future__ import annotations

from abc import abstractmethod

from dnsity.evaluation.method import Context, Ingested, Method, MethodSettings
from dnsity.gist.layout import cut
from dnsity.inference.loaded import LoadedModel


def without_middle(ids: list[int], most: int) -> list[int]:
    """Keep as many tokens of both ends as fit."""
    if len(ids) <= most:
        return ids
    return ids[: most - most // 2] + ids[len(ids) - most // 2 :]


def first_tokens(loaded: LoadedModel, ids: list[int], most: int) -> list[int]:
    """Keep a document's first tokens, its separator from the question among them."""
    if len(ids) <= most:
        return ids
    end = loaded.frame.separator[-most:]
    return ids[: most - len(end)] + end


def gist_slots(loaded: LoadedModel, settings: MethodSettings, tokens: int) -> int:
    """Say how many slots gists of so many document tokens take."""
    spans, each = cut(tokens, loaded.lm.spec, settings.gists)
    return len(spans) * each


class Reading(Method):
    """Reads some tokens before every question; their reading counts into the time to first token.

    Questions that follow each other on the same tokens are read for once, and charged each.
    """

    def __init__(
        self, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
    ) -> None:
        """Use this model."""
        super().__init__(loaded, settings, reserve)
        self._last: tuple[list[int], Context] | None = None

    @property
    def window(self) -> int:
        """Tokens of text that fit before question and answer."""
        return max(1, self.loaded.max_positions - len(self.loaded.frame.head) - self.reserve)

    def read(self, ids: list[int]) -> Context:
        """Prefill tokens without compression."""
        if self._last is None or self._last[0] != ids:
            self._last = None  # the old keys and values go before the new ones come
            started = self.loaded.now()
            layers = self.loaded.read(ids)
            self._last = ids, Context(layers, self.loaded.now() - started)
        return self._last[1]


class _Fixed(Reading):
    """Reads the same tokens whatever the question."""

    def ingest(self, document: str) -> Ingested:
        """Tokenise and cut; nothing else can be done before the question comes."""
        started = self.loaded.now()
        ids = self.loaded.frame.document(document)
        kept = self.keep(ids)
        left_out = len(ids) - len(kept)
        note = f"read {len(kept)} of {len(ids)} tokens" if left_out else ""
        return Ingested(kept, self.loaded.now() - started, note)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Read."""
        return self.read(ingested.handle)

    @abstractmethod
    def keep(self, ids: list[int]) -> list[int]:
        """Choose what is read."""


class FullContext(_Fixed):
    """The whole document, or all that the window takes."""

    name = "full"
    heading = "full context"

    def keep(self, ids: list[int]) -> list[int]:
        """Drop the middle of what is too long."""
        return without_middle(ids, self.window)


class StoredFullContext(FullContext):
    """The whole document, read ahead and kept: what a prefix cache does."""

    name = "stored_full_kv"
    heading = "stored full KV"

    def ingest(self, document: str) -> Ingested:
        """Read the document."""
        found = super().ingest(document)
        read = self.read(found.handle)
        return Ingested(Context(read.layers), found.seconds + read.seconds, found.note)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Take what was kept."""
        kept: Context = ingested.handle
        return kept


class Truncated(_Fixed):
    """Beginning and end of the document: is retrieval better than no retrieval?"""

    name = "truncate"
    heading = "truncated"

    def keep(self, ids: list[int]) -> list[int]:
        """Keep as many tokens as retrieval reads at most."""
        return without_middle(ids, min(self.window, self.settings.chunk_tokens * self.settings.top))


class Lead(_Fixed):
    """The document's first tokens, as many as its gists: text at the same cost."""

    name = "lead_equal_kv"
    heading = "lead, equal KV"

    def keep(self, ids: list[int]) -> list[int]:
        """Keep the beginning, and what separates it from the question."""
        return first_tokens(self.loaded, ids, gist_slots(self.loaded, self.settings, len(ids)))
