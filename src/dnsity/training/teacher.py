"""The teacher: the same base, conditioned on the whole document, adapter off; no second model.

Its distributions depend on documents and questions only. So where the base is not trained they are
computed once and stored on disk, in a small file per document:

    [document][question][answer]  ── base, no gradient ──▶  top-k log-probabilities per answer token
              [question][answer]  ── base, no gradient ──▶  log-probability without the document
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dnsity.data.batch import QuestionBatch
from dnsity.inference.distillation import gold_log_p, supervised, top_of
from dnsity.io.atomic import atomic_path
from dnsity.model.gist_lm import GistLM
from dnsity.training.answers import answers


class TeacherOutput(NamedTuple):
    """The teacher's distributions at the supervised tokens of a batch, question by question.

    Attributes:
        top_ids: The likeliest tokens.
        top_log_p: Their log-probabilities.
        gold_log_p: Log-probability of the expected token.
        gold_log_p_without: The same without the document.
    """

    top_ids: Int[Tensor, "S top"]
    top_log_p: Float[Tensor, "S top"]
    gold_log_p: Float[Tensor, " S"]
    gold_log_p_without: Float[Tensor, " S"]


class Teacher:
    """Answers conditioned on the whole document, and stores its output.

    Args:
        lm: The model whose base is the teacher.
        top: How many of the likeliest tokens are stored.
        cache: Directory of stored output; None: nothing is stored.
        identity: What the output depends on in addition to document and questions: the base's
            fingerprint.
    """

    def __init__(self, lm: GistLM, top: int, cache: Path | None = None, identity: str = "") -> None:
        """Create the directory."""
        self.lm, self.top, self.cache, self.identity = lm, top, cache, identity
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)

    def __call__(self, batch: QuestionBatch) -> TeacherOutput:
        """Return the teacher's output on a batch, from disk if all of it is stored."""
        if self.cache is None:
            return self._teach(batch)
        documents = batch.document_ids.shape[0]
        paths = [self.cache / f"{self._key(batch, n)}.safetensors" for n in range(documents)]
        stored = [_read(path) for path in paths]
        if any(output is None for output in stored):
            whole = self._teach(batch)
            for path, output in zip(paths, _by_document(whole, batch), strict=True):
                _write(path, output)
            return whole
        device = batch.document_ids.device
        return TeacherOutput(*(torch.cat(parts).to(device) for parts in zip(*stored, strict=True)))

    @torch.no_grad()
    def _teach(self, batch: QuestionBatch) -> TeacherOutput:
        lm = self.lm
        training = lm.training
        lm.eval()  # no dropout: the same output every time
        with lm.without_adapter():
            logits = answers(lm, batch, "full")
            without = answers(lm, batch, "none")
        lm.train(training)
        logits, targets = supervised(logits, batch.labels)
        gold = [gold_log_p(x, targets) for x in (logits, supervised(without, batch.labels)[0])]
        return TeacherOutput(*top_of(logits, self.top), *gold)

    def _key(self, batch: QuestionBatch, number: int) -> str:
        """Return a digest of a document with its questions and answers, the same in any batch."""
        digest = hashlib.sha256(f"1/{self.identity}/{self.top}".encode())
        if batch.head:
            digest.update(str(list(batch.head)).encode())
        digest.update(
            str(batch.document_ids[number][batch.document_mask[number]].tolist()).encode()
        )
        for row in (batch.document_index == number).nonzero()[:, 0].tolist():
            ids = batch.input_ids[row][batch.attention_mask[row]].tolist()
            answer = int((batch.labels[row] >= 0).sum())
            digest.update(f"{ids}/{answer}".encode())
        return digest.hexdigest()


def _by_document(output: TeacherOutput, batch: QuestionBatch) -> list[TeacherOutput]:
    """Split a batch's output by document; the questions of a document are neighbours."""
    tokens = (batch.labels[:, 1:] >= 0).sum(dim=1)
    sizes = torch.zeros(len(batch.document_ids), dtype=torch.long, device=tokens.device)
    sizes.index_add_(0, batch.document_index, tokens)
    parts = [torch.split(tensor, sizes.tolist()) for tensor in output]
    return [TeacherOutput(*own) for own in zip(*parts, strict=True)]


def _read(path: Path) -> TeacherOutput | None:
    """Read stored output; None if it is missing or damaged."""
    try:
        return TeacherOutput(**load_file(path))
    except (OSError, SafetensorError, TypeError):
        return None


def _write(path: Path, output: TeacherOutput) -> None:
    """Store output atomically; several processes may write the same file."""
    tensors = {name: t.contiguous().cpu().clone() for name, t in output._asdict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)
