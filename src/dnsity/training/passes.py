"""From a batch to answers and a loss: the one module that Trainer (and DDP around it) trains.

    text, repeat   prose ──▶ logits                       no document, no gists
    full           read(document) ──▶ answer(question)    the document itself stands before it
    gist           compress(document) ──▶ answer(question)
    none           answer(question)                       the floor, for probes

Gist batches take one of two paths with equal results: `two_pass` compresses each document once,
however many questions it has; `masked` runs document, gists and questions as one sequence under
the mask of `gist.mask` (the definition, and a reference to measure against).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dnsity.data.collate import left_pad, sequence
from dnsity.errors import BadInputError
from dnsity.gist.layout import split_evenly
from dnsity.model.backbone import is_sharded
from dnsity.model.gist_lm import GistLM, concatenate, select
from dnsity.shapes import KeyValues, Logits
from dnsity.training.objective import (
    Objective,
    answer_cross_entropy,
    exactly_right,
    help_weights,
    supervised,
    teacher_divergence,
)
from dnsity.training.settings import GistPath
from dnsity.training.teacher import Teacher


class Passes(nn.Module):
    """A `GistLM` with its objective: batches in, loss sums out.

    Args:
        lm: What is trained.
        objective: What is minimised in mode `gist`; the other modes take plain cross-entropy.
        path: How gist batches are run.
        teacher: Needed if the objective asks for one.
    """

    def __init__(
        self,
        lm: GistLM,
        objective: Objective | None = None,
        path: GistPath = "two_pass",
        teacher: Teacher | None = None,
    ) -> None:
        """Nothing is run yet."""
        super().__init__()
        self.lm = lm
        self.objective = objective or Objective()
        self.path = path
        self.teacher = teacher

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Run one batch.

        Returns:
            `loss`, the sum over supervised tokens; `right` `[R]`, for which rows greedy decoding
            would give the gold answer.
        """
        logits, labels = self.answers(batch), batch["labels"]
        picked, targets = supervised(logits, labels)
        right = exactly_right(logits.detach(), labels)
        if batch["mode"] != "gist":
            return {"loss": answer_cross_entropy(picked, targets), "right": right}
        aim = self.objective
        weights = lesson = None
        if self.teacher is not None:
            lesson = self.teacher(batch)
            if aim.least_weight is not None:
                weights = help_weights(
                    lesson.gold_log_p, lesson.gold_log_p_without, aim.least_weight
                )
        loss = aim.answer * answer_cross_entropy(picked, targets, weights)
        if lesson is not None and aim.teacher:
            loss = loss + aim.teacher * teacher_divergence(
                picked, lesson.top_ids, lesson.top_log_p, weights
            )
        return {"loss": loss, "right": right}

    def answers(self, batch: dict[str, Any]) -> Logits:
        """Return logits at the places of `batch["labels"]`."""
        lm, mode, kept = self.lm, batch["mode"], batch["labels"].shape[1]
        if mode in ("text", "repeat"):
            return lm.answer(None, batch["input_ids"], logits_to_keep=kept)
        if mode == "gist" and self.path == "masked":
            return self._masked(batch)
        rows, mask = batch["document_index"], batch["document_mask"]
        prefix = prefix_mask = None
        if mode == "gist":
            chunks = chunks_of(mask, lm.spec.window_tokens)
            if is_sharded(lm.base) and int(chunks.max()) > 1:
                raise BadInputError(
                    f"a document of {mask.shape[1]} tokens is longer than gist.window_tokens="
                    f"{lm.spec.window_tokens}; sharded (FSDP) processes must all run the same "
                    "passes: raise the window or shorten stages.tokens"
                )
            if len(torch.unique(chunks)) > 1:
                return self._by_chunks(batch, chunks)
            prefix = compress_batch(
                lm, batch["document_ids"], mask, int(chunks[0]), batch.get("gists")
            )
        elif mode == "full":
            # Without padding the fast causal kernel needs no mask at all.
            given = None if bool(mask.all()) else mask
            prefix = lm.read(batch["document_ids"], given)
            prefix_mask = None if given is None else mask[rows]
        return lm.answer(
            None if prefix is None else select(prefix, rows),
            batch["input_ids"],
            batch["attention_mask"],
            prefix_mask=prefix_mask,
            logits_to_keep=kept,
        )

    def _by_chunks(self, batch: dict[str, Any], chunks: Tensor) -> Logits:
        """Answer documents of different numbers of chunks apart: they have different prefixes."""
        rows = batch["document_index"]
        found: list[Tensor] = []
        asked: list[Tensor] = []
        for count in torch.unique(chunks):
            documents = (chunks == count).nonzero()[:, 0]
            asked.append(torch.isin(rows, documents).nonzero()[:, 0])
            part = {
                **batch,
                **{k: batch[k][documents] for k in ("document_ids", "document_mask")},
                **{k: batch[k][asked[-1]] for k in ("input_ids", "attention_mask", "labels")},
                "document_index": torch.searchsorted(documents, rows[asked[-1]]),
            }
            found.append(self.answers(part))
        return torch.cat(found)[torch.cat(asked).argsort()]

    def _masked(self, batch: dict[str, Any]) -> Logits:
        """Run each document with its gists and all its questions as one masked sequence."""
        lm, kept = self.lm, batch["labels"].shape[1]
        spec = lm.spec.model_copy(update={"gists": batch.get("gists") or lm.spec.gists})
        asked = [
            ids[mask] for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
        chunks = chunks_of(batch["document_mask"], spec.window_tokens)
        found: list[Tensor] = []
        for number, (ids, mask) in enumerate(
            zip(batch["document_ids"], batch["document_mask"], strict=True)
        ):
            rows = (batch["document_index"] == number).nonzero()[:, 0].tolist()
            questions = [asked[row].tolist() for row in rows]
            line, layout = sequence(ids[mask].tolist(), questions, spec, int(chunks[number]))
            tail = sum(layout.questions)
            logits = lm.masked(
                torch.tensor([line], device=ids.device), layout, logits_to_keep=tail
            )[0]
            for question in torch.split(logits, list(layout.questions)):
                short = max(0, kept - question.shape[0])
                padded = nn.functional.pad(question, (0, 0, short, 0))
                found.append(padded[-kept:])
        return torch.stack(found)


def compress_batch(
    lm: GistLM, document_ids: Tensor, document_mask: Tensor, chunks: int, gists: int | None = None
) -> KeyValues:
    """Compress documents of as many windows: chunk by chunk, the gists joined.

    Args:
        lm: The model.
        document_ids: `[B, N]`, left-padded.
        document_mask: True at real tokens.
        chunks: How many each document is cut into.
        gists: Gists per chunk (default: all of the spec's).

    Returns:
        Per layer keys and values `[B, K, chunks * G, D]`.
    """
    if chunks == 1:
        return lm.compress(
            document_ids, None if bool(document_mask.all()) else document_mask, gists=gists
        )
    count = lm.spec.gists if gists is None else gists
    documents = [
        (tokens, split_evenly(len(tokens), chunks))
        for tokens in (
            ids[mask].tolist() for ids, mask in zip(document_ids, document_mask, strict=True)
        )
    ]
    parts: list[KeyValues] = []
    for index in range(chunks):
        ids, mask = left_pad([tokens[slice(*spans[index])] for tokens, spans in documents])
        ids, mask = ids.to(document_ids.device), mask.to(document_ids.device)
        parts.append(
            lm.compress(
                ids,
                None if bool(mask.all()) else mask,
                gists=count,
                offset=index * count,
                prefix=concatenate(*parts) if parts and lm.spec.chunking == "carry" else None,
            )
        )
    return concatenate(*parts)


def chunks_of(document_mask: Tensor, window: int) -> Tensor:
    """Count the windows that each document fills, `[B]`."""
    return (document_mask.sum(dim=1) + window - 1).div(window, rounding_mode="floor")
