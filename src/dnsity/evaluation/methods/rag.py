"""Retrieval: the best chunks of the document by BM25 stand in for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from dnsity.data.sentences import sentence_ends
from dnsity.evaluation.method import Ingested
from dnsity.evaluation.methods.full import answer_reading
from dnsity.evaluation.retrieval import Bm25
from dnsity.inference.generate import Answer
from dnsity.inference.loaded import LoadedModel


class Rag:
    """Top-3 chunks of about 128 tokens, cut at sentence borders."""

    name = "rag"
    chunk_tokens = 128
    top = 3

    def __init__(self, loaded: LoadedModel) -> None:
        """Use this model to read what was found."""
        self.loaded = loaded

    def ingest(self, document: str) -> Ingested:
        """Cut and index."""
        started = time.perf_counter()
        index = Bm25(self._chunks(document))
        return Ingested(index, 0, time.perf_counter() - started)

    def answer(self, ingested: Ingested, questions: Sequence[str]) -> list[Answer]:
        """Search and read for every question; search counts into the time to first token."""
        answers = []
        for question in questions:
            started = time.perf_counter()
            text = "\n".join(ingested.handle.search(question, self.top))
            ids = self.loaded.encoder.start_ids + self.loaded.encoder.encode(text)
            spent = time.perf_counter() - started
            found = answer_reading(self.loaded, ids, [question])[0]
            answers.append(
                replace(found, ttft_s=found.ttft_s + spent, seconds=found.seconds + spent)
            )
        return answers

    def _chunks(self, document: str) -> list[str]:
        """Whole sentences, as many as fit."""
        ends = sentence_ends(document)
        chunks: list[str] = []
        size = self.chunk_tokens
        for start, stop in pairwise(ends):
            sentence = document[start:stop]
            tokens = len(self.loaded.encoder.encode(sentence))
            if chunks and size + tokens <= self.chunk_tokens:
                chunks[-1] += sentence
                size += tokens
            else:
                chunks.append(sentence)
                size = tokens
        return chunks
