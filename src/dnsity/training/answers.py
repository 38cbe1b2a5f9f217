"""Logits of a batch's answers, in every way that training and probes need.

    full    read(document) ──▶ answer(question)        conditioned on the whole document
    gist    compress(document) ──▶ answer(question)    conditioned on gists
    none    answer(question)                           the floor, for probes

Gists take one of two paths with equal results. `two_pass` compresses each document once, however
many questions it has. `masked` runs document, gists and questions as one sequence
(`model/masked.py`): the definition, and a reference for measurements.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dnsity.data.batch import QuestionBatch, TextBatch, left_pad
from dnsity.errors import BadInputError
from dnsity.gist.layout import chunks_of
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import batched, concatenate, select, shared
from dnsity.model.masked import masked_sequence, run_masked
from dnsity.model.windows import compress_documents
from dnsity.shapes import KeyValues, PaddingMask
from dnsity.training.settings import GistPath

AnswerLogits: TypeAlias = Float[Tensor, "R A vocab"]
"""Logits of R questions (or texts) at the A labelled columns of a batch."""

Condition = Literal["full", "gist", "none"]
"""What answers are conditioned on; see the module's picture."""

MOST_PADDED = 768
"""Tokens of the longest document that is padded to another's length. Longer ones run in separate
passes. Padding needs a mask `[N, N]` per document in every layer: on a CPU (6 layers of width 256,
four documents) that took 46% more time at 2,048 tokens, and separate passes took 18% more at
512."""


def text_logits(lm: GistLM, batch: TextBatch) -> AnswerLogits:
    """Return the logits of the labelled columns of plain text."""
    return lm.answer(None, batch.input_ids, logits_to_keep=batch.labels.shape[1])


def answers(
    lm: GistLM, batch: QuestionBatch, condition: Condition, path: GistPath = "two_pass"
) -> AnswerLogits:
    """Answer the questions of a batch.

    Args:
        lm: The model.
        batch: Documents and questions.
        condition: What answers are conditioned on.
        path: How gists are run.

    Returns:
        Logits of the labelled columns.

    Raises:
        BadInputError: If a document does not fit one pass where weights are sharded.
    """
    if condition == "gist" and path == "masked":
        return _masked(lm, batch)
    if condition == "none":
        return _after(lm, batch, _head_keys(lm, batch))
    groups = _groups(lm, batch, condition)
    if int(groups.min()) < int(groups.max()):
        return _by_group(lm, batch, condition, groups)
    rows = batch.document_index
    if condition == "full":
        ids, mask = _with_head(batch)
        given = None if bool(mask.all()) else mask  # the causal kernel is fastest without one
        document = select(lm.read(ids, given), rows)
        return _after(lm, batch, document, None if given is None else mask[rows])
    head = _head_keys(lm, batch)
    starts = (~batch.document_mask).sum(dim=1).tolist()
    documents = [ids[start:] for ids, start in zip(batch.document_ids, starts, strict=True)]
    found = compress_documents(lm, documents, _spec_of(lm, batch), batch.head)
    gists = select(batched(found), rows)
    return _after(lm, batch, gists if head is None else concatenate(head, gists))


def _after(
    lm: GistLM,
    batch: QuestionBatch,
    prefix: KeyValues | None,
    prefix_mask: Bool[Tensor, "R slots"] | None = None,
) -> AnswerLogits:
    """Return the logits of the answers, conditioned on a prefix."""
    return lm.answer(
        prefix,
        batch.input_ids,
        batch.attention_mask,
        prefix_mask=prefix_mask,
        logits_to_keep=batch.labels.shape[1],
    )


def _spec_of(lm: GistLM, batch: QuestionBatch) -> GistSpec:
    """Return the compression settings of a batch: the model's, with the values its step sampled."""
    sampled = {"gists": batch.gists, "window_tokens": batch.window_tokens}
    return lm.spec.model_copy(update={name: n for name, n in sampled.items() if n is not None})


def _head_keys(lm: GistLM, batch: QuestionBatch) -> KeyValues | None:
    """Return the keys and values of the head for every question, or None if there is no head."""
    if not batch.head:
        return None
    ids = torch.tensor([batch.head], device=batch.input_ids.device)
    return shared(lm.read(ids), len(batch.input_ids))


def _with_head(batch: QuestionBatch) -> tuple[Int[Tensor, "B T"], PaddingMask]:
    """Return the documents, each after the head, and the mask of real tokens."""
    ids, mask = batch.document_ids, batch.document_mask
    if not batch.head:
        return ids, mask
    rows = [[*batch.head, *row[real].tolist()] for row, real in zip(ids, mask, strict=True)]
    longer, real = left_pad(rows)
    return longer.to(ids.device), real.to(ids.device)


def _groups(lm: GistLM, batch: QuestionBatch, condition: Condition) -> Int[Tensor, " B"]:
    """Return the group of each document; the documents of a group run in one batch.

    They have the same number of chunks, or the same length where they are long.
    """
    spec = _spec_of(lm, batch)
    lengths = batch.document_mask.sum(dim=1)
    chunks = torch.tensor([chunks_of(n, spec) for n in lengths.tolist()], device=lengths.device)
    if lm.is_sharded:
        if condition == "gist" and int(chunks.max()) > 1:
            raise BadInputError(
                f"a document of {batch.longest} tokens does not fit one pass (gist."
                f"window_tokens={spec.window_tokens}, chunk_tokens={spec.chunk_tokens}); "
                "sharded (FSDP) processes must all run the same passes: raise these, leave out "
                "stages.windows or shorten stages.tokens"
            )
        return torch.zeros_like(chunks)
    if batch.longest > MOST_PADDED:
        return lengths
    return chunks if condition == "gist" else torch.zeros_like(chunks)


def _by_group(
    lm: GistLM, batch: QuestionBatch, condition: Condition, groups: Int[Tensor, " B"]
) -> AnswerLogits:
    """Answer the questions of each group of documents in a separate pass."""
    found: list[Tensor] = []
    order: list[Tensor] = []
    for group in torch.unique(groups):
        part, asked = batch.of_documents((groups == group).nonzero()[:, 0])
        found.append(answers(lm, part, condition))
        order.append(asked)
    return torch.cat(found)[torch.cat(order).argsort()]


def _masked(lm: GistLM, batch: QuestionBatch) -> AnswerLogits:
    """Run each document with its gists and all its questions as one masked sequence."""
    kept, spec = batch.labels.shape[1], _spec_of(lm, batch)
    asked = [ids[mask] for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    found: list[Tensor] = []
    for number, (ids, mask) in enumerate(zip(batch.document_ids, batch.document_mask, strict=True)):
        rows = (batch.document_index == number).nonzero()[:, 0].tolist()
        questions = [asked[row].tolist() for row in rows]
        sequence, layout = masked_sequence(ids[mask].tolist(), questions, spec, head=batch.head)
        logits = run_masked(
            lm,
            torch.tensor([sequence], device=ids.device),
            layout,
            logits_to_keep=sum(layout.questions),
        )[0]
        for question in torch.split(logits, list(layout.questions)):
            short = max(0, kept - question.shape[0])
            found.append(functional.pad(question, (0, 0, short, 0))[-kept:])
    return torch.stack(found)
