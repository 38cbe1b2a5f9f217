"""Answer with the whole document in context: the ceiling. It is prefilled for every question."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from dnsity.evaluation.method import Ingested
from dnsity.inference.generate import Answer, answer
from dnsity.inference.loaded import LoadedModel
from dnsity.shapes import KeyValues


class FullContext:
    """Document and question in one context."""

    name = "full"

    def __init__(self, loaded: LoadedModel) -> None:
        """Use this model."""
        self.loaded = loaded

    def ingest(self, document: str) -> Ingested:
        """Tokenise; nothing else can be done before the question comes."""
        started = time.perf_counter()
        ids = self.loaded.encoder.start_ids + self.loaded.encoder.encode(document)
        return Ingested(ids, 0, time.perf_counter() - started)

    def answer(self, ingested: Ingested, questions: Sequence[str]) -> list[Answer]:
        """Prefill the document, then answer; the prefill counts into the time to first token."""
        return answer_reading(self.loaded, ingested.handle, questions)


def answer_reading(loaded: LoadedModel, ids: list[int], questions: Sequence[str]) -> list[Answer]:
    """Answer behind text read in full, its prefill included in all times."""
    started = time.perf_counter()
    prefix = read(loaded, ids)
    prefill = time.perf_counter() - started
    return [
        Answer(a.question, a.text, a.ttft_s + prefill, a.seconds + prefill, a.new_tokens)
        for a in answer(loaded, prefix, questions)
    ]


@torch.inference_mode()
def read(loaded: LoadedModel, ids: list[int]) -> KeyValues:
    """Prefill text without compression."""
    return loaded.lm.read(torch.tensor([ids], device=loaded.device))
