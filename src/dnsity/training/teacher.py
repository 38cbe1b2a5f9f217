"""The teacher: the same base with the document before it, adapter off; no second model.

Its answers' distributions depend on documents and questions only, so where the base stays as it is
they are computed once and kept on disk, a small file per document:

    [document][question][answer]  ── base, no gradient ──▶  top-k log-probabilities per answer token
              [question][answer]  ── base, no gradient ──▶  how likely the answer is without it
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dnsity.inference.distillation import gold_log_p, supervised, top_of
from dnsity.io.atomic import atomic_path
from dnsity.model.gist_lm import GistLM
from dnsity.training.answers import answers


class Lesson(NamedTuple):
    """What the teacher says of every supervised token of a batch, row by row.

    Attributes:
        top_ids: Its likeliest tokens, `[S, top]`.
        top_log_p: Their log-probabilities, `[S, top]`.
        gold_log_p: Log-probability of the gold token, `[S]`.
        gold_log_p_without: The same with no document before the question, `[S]`.
    """

    top_ids: Tensor
    top_log_p: Tensor
    gold_log_p: Tensor
    gold_log_p_without: Tensor


class Teacher:
    """Answers from full context; keeps what it said.

    Args:
        lm: The model whose base teaches.
        top: How many of the likeliest tokens are kept.
        cache: Directory of kept lessons; None: nothing is kept.
        identity: What the lessons depend on beside document and questions: the base's fingerprint.
    """

    def __init__(self, lm: GistLM, top: int, cache: Path | None = None, identity: str = "") -> None:
        """Create the directory."""
        self.lm, self.top, self.cache, self.identity = lm, top, cache, identity
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)

    def __call__(self, batch: dict[str, Any]) -> Lesson:
        """Return the lesson of a batch as `data.collate` lays it out."""
        if self.cache is None:
            return self._teach(batch)
        documents = batch["document_ids"].shape[0]
        paths = [self.cache / f"{self._key(batch, n)}.safetensors" for n in range(documents)]
        kept = [_read(path) for path in paths]
        if any(lesson is None for lesson in kept):
            whole = self._teach(batch)
            for path, lesson in zip(paths, _by_document(whole, batch), strict=True):
                _write(path, lesson)
            return whole
        device = batch["document_ids"].device
        return Lesson(*(torch.cat(parts).to(device) for parts in zip(*kept, strict=True)))

    @torch.no_grad()
    def _teach(self, batch: dict[str, Any]) -> Lesson:
        lm, labels = self.lm, batch["labels"]
        training = lm.training
        lm.eval()  # no dropout: the teacher says the same thing twice
        with lm.untouched():
            logits = answers(lm, batch, "full")
            alone = answers(lm, batch, "none")
        lm.train(training)
        logits, targets = supervised(logits, labels)
        gold = [gold_log_p(x, targets) for x in (logits, supervised(alone, labels)[0])]
        return Lesson(*top_of(logits, self.top), *gold)

    def _key(self, batch: dict[str, Any], number: int) -> str:
        """Name a document with its questions and answers, whatever stands beside it in a batch."""
        digest = hashlib.sha256(f"1/{self.identity}/{self.top}".encode())
        if len(head := batch["head_ids"].tolist()):
            digest.update(str(head).encode())
        digest.update(
            str(batch["document_ids"][number][batch["document_mask"][number]].tolist()).encode()
        )
        for row in (batch["document_index"] == number).nonzero()[:, 0].tolist():
            ids = batch["input_ids"][row][batch["attention_mask"][row]].tolist()
            answer = int((batch["labels"][row] >= 0).sum())
            digest.update(f"{ids}/{answer}".encode())
        return digest.hexdigest()


def _by_document(lesson: Lesson, batch: dict[str, Any]) -> list[Lesson]:
    """Cut a batch's lesson into those of its documents, whose rows stand together."""
    tokens = (batch["labels"][:, 1:] >= 0).sum(dim=1)
    documents = batch["document_ids"].shape[0]
    sizes = torch.zeros(documents, dtype=torch.long, device=tokens.device)
    sizes.index_add_(0, batch["document_index"], tokens)
    pieces = [torch.split(tensor, sizes.tolist()) for tensor in lesson]
    return [Lesson(*parts) for parts in zip(*pieces, strict=True)]


def _read(path: Path) -> Lesson | None:
    """Read a kept lesson; a damaged one is as good as none."""
    try:
        return Lesson(**load_file(path))
    except (OSError, SafetensorError, TypeError):
        return None


def _write(path: Path, lesson: Lesson) -> None:
    """Keep a lesson, whole or not at all; several processes may write the same one."""
    tensors = {name: t.contiguous().cpu().clone() for name, t in lesson._asdict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
