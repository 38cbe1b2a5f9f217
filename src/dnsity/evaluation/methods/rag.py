"""Retrieval: the best chunks of the document replace it.

rag            BM25, top 3 chunks of at most 128 tokens (both can be set)    common practice
rag_dense      the same by embeddings of a sentence-transformers model
rag_equal_kv   BM25, at most as many tokens as there are gists
"""

from __future__ import annotations

from typing import ClassVar

from dnsity.data.text.chunking import chunk
from dnsity.errors import BadInputError
from dnsity.evaluation.method import Context, Ingested
from dnsity.evaluation.methods.reading import Reading, first_tokens, gist_slots
from dnsity.evaluation.retrieval import Bm25, Dense, Search


class Rag(Reading):
    """BM25 over chunks that end with sentences; the search counts into every TTFT."""

    name = "rag"
    heading = "RAG top-3"
    takes: ClassVar[tuple[str, ...]] = ("top", "chunk_tokens")

    def ingest(self, document: str) -> Ingested:
        """Cut and index."""
        started = self.loaded.now()
        index = self.index(self._chunks(document, self.settings.chunk_tokens))
        return Ingested((index, self.settings.top, self.window), self.loaded.now() - started)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Search, and prefill the best chunks in the document's order."""
        index, top, most = ingested.handle
        started = self.loaded.now()
        found = "\n".join(index.search(question, top))
        ids = first_tokens(self.loaded, self.loaded.frame.document(found), most)
        searched = self.loaded.now() - started
        read = self.read(ids)
        return Context(read.layers, read.seconds + searched)

    def index(self, chunks: list[str]) -> Search:
        """Return a search index of the chunks."""
        return Bm25(chunks)

    def _chunks(self, document: str, tokens: int) -> list[str]:
        """Cut at paragraphs, sentences or words."""

        def count(text: str) -> int:
            return len(self.loaded.encoder.encode(text))

        return [part.text for part in chunk(document, count, tokens)]


class RagEqualKv(Rag):
    """Retrieval with at most as many slots as the document's gists."""

    name = "rag_equal_kv"
    heading = "RAG, equal KV"
    takes = ("gists",)

    def ingest(self, document: str) -> Ingested:
        """Cut into chunks of as many tokens as a window has gists; use as many as the slots fit."""
        started = self.loaded.now()
        tokens = len(self.loaded.encoder.encode(document))
        slots = gist_slots(self.loaded, self.settings, tokens)
        per_chunk = min(slots, self.settings.gists or self.loaded.lm.spec.gists)
        index = self.index(self._chunks(document, per_chunk))
        return Ingested((index, slots // per_chunk, slots), self.loaded.now() - started)


class RagDense(Rag):
    """Retrieval by meaning instead of words."""

    name = "rag_dense"
    heading = "dense RAG top-3"
    takes = ("top", "chunk_tokens", "dense_model")
    by_default = False

    def index(self, chunks: list[str]) -> Search:
        """Return an index of the chunks' embeddings.

        Raises:
            BadInputError: If no embedding model is configured.
        """
        if self.settings.dense_model is None:
            raise BadInputError(
                "rag_dense needs an embedding model: --set method.dense_model=DIRECTORY"
            )
        return Dense(chunks, self.settings.dense_model)
