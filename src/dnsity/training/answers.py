"""Answers to a batch's questions, in every way that training and probes need.

    text, repeat   prose ──▶ logits                       no document, no gists
    full           read(document) ──▶ answer(question)    the document itself stands before it
    gist           compress(document) ──▶ answer(question)
    none           answer(question)                       the floor, for probes

Gists take one of two paths with equal results: `two_pass` compresses each document once, however
many questions it has; `masked` runs document, gists and questions as one sequence under the mask of
`gist.mask` (the definition, and a reference to measure against).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dnsity.data.collate import left_pad, sequence
from dnsity.errors import BadInputError
from dnsity.gist.layout import chunks_of, cut
from dnsity.gist.spec import GistSpec
from dnsity.model.backbone import is_sharded
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import concatenate, select, shared
from dnsity.shapes import KeyValues, Logits
from dnsity.training.settings import GistPath

ALONE = 768
"""Documents beyond so many tokens run apart when their lengths differ. Padding needs a mask
`[N, N]` for each, kept in every layer: at 2,048 tokens on a CPU that took 46% more time, at 512
running them apart took 18% more (6 layers of width 256, four documents)."""


def answers(lm: GistLM, batch: dict[str, Any], mode: str, path: GistPath = "two_pass") -> Logits:
    """Answer the questions of a batch.

    Args:
        lm: The model.
        batch: As `data.collate` lays it out, with `gists` and `window` where another count or
            length than the model's is to be used; of prose only `input_ids` and `labels`.
        mode: See the module's picture.
        path: How gists are run.

    Returns:
        Logits at the places of `batch["labels"]`, `[R, A+1, vocab]`.

    Raises:
        BadInputError: If a document does not fit one pass where weights are sharded.
    """
    kept = batch["labels"].shape[1]
    if mode in ("text", "repeat"):
        return lm.answer(None, batch["input_ids"], logits_to_keep=kept)
    if mode == "gist" and path == "masked":
        return _masked(lm, batch)
    head = batch["head_ids"].tolist()
    prefix = prefix_mask = None
    if head and mode != "full":
        read = lm.read(batch["head_ids"][None])
        prefix = shared(read, len(batch["input_ids"]))
    if mode in ("gist", "full"):
        spec = _spec(lm, batch)
        groups = _groups(lm, spec, batch["document_mask"], mode)
        if int(groups.min()) < int(groups.max()):
            return _apart(lm, batch, mode, groups)
        rows = batch["document_index"]
        if mode == "gist":
            gists = compress_batch(lm, batch["document_ids"], batch["document_mask"], spec, head)
            gists = select(gists, rows)
            prefix = gists if prefix is None else concatenate(prefix, gists)
        else:
            ids, mask = with_head(head, batch["document_ids"], batch["document_mask"])
            given = None if bool(mask.all()) else mask  # the causal kernel is fastest without one
            prefix = select(lm.read(ids, given), rows)
            prefix_mask = None if given is None else mask[rows]
    return lm.answer(
        prefix,
        batch["input_ids"],
        batch["attention_mask"],
        prefix_mask=prefix_mask,
        logits_to_keep=kept,
    )


def _spec(lm: GistLM, batch: dict[str, Any]) -> GistSpec:
    """Say how the batch is compressed: as the model is, but for what its step drew."""
    drawn = {"gists": batch.get("gists"), "window_tokens": batch.get("window")}
    return lm.spec.model_copy(update={name: n for name, n in drawn.items() if n is not None})


def _groups(lm: GistLM, spec: GistSpec, document_mask: Tensor, mode: str) -> Tensor:
    """Say by what number documents run apart, `[B]`: chunks, or lengths where they are long."""
    lengths = document_mask.sum(dim=1)
    chunks = torch.tensor([chunks_of(n, spec) for n in lengths.tolist()], device=lengths.device)
    if is_sharded(lm.base):
        if mode == "gist" and int(chunks.max()) > 1:
            raise BadInputError(
                f"a document of {document_mask.shape[1]} tokens does not fit one pass (gist."
                f"window_tokens={spec.window_tokens}, chunk_tokens={spec.chunk_tokens}); "
                "sharded (FSDP) processes must all run the same passes: raise these, leave out "
                "stages.windows or shorten stages.tokens"
            )
        return torch.zeros_like(chunks)
    if document_mask.shape[1] > ALONE:
        return lengths
    return chunks if mode == "gist" else torch.zeros_like(chunks)


def _apart(lm: GistLM, batch: dict[str, Any], mode: str, groups: Tensor) -> Logits:
    """Answer each group of documents by itself."""
    rows = batch["document_index"]
    found: list[Tensor] = []
    asked: list[Tensor] = []
    for group in torch.unique(groups):
        documents = (groups == group).nonzero()[:, 0]
        longest = int(batch["document_mask"][documents].sum(dim=1).max())
        asked.append(torch.isin(rows, documents).nonzero()[:, 0])
        part = {
            **batch,
            **{k: batch[k][documents, -longest:] for k in ("document_ids", "document_mask")},
            **{k: batch[k][asked[-1]] for k in ("input_ids", "attention_mask", "labels")},
            "document_index": torch.searchsorted(documents, rows[asked[-1]]),
        }
        found.append(answers(lm, part, mode))
    return torch.cat(found)[torch.cat(asked).argsort()]


def _masked(lm: GistLM, batch: dict[str, Any]) -> Logits:
    """Run each document with its gists and all its questions as one masked sequence."""
    kept, spec = batch["labels"].shape[1], _spec(lm, batch)
    asked = [
        ids[mask] for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    found: list[Tensor] = []
    for number, (ids, mask) in enumerate(
        zip(batch["document_ids"], batch["document_mask"], strict=True)
    ):
        rows = (batch["document_index"] == number).nonzero()[:, 0].tolist()
        questions = [asked[row].tolist() for row in rows]
        line, laid = sequence(ids[mask].tolist(), questions, spec, head=batch["head_ids"].tolist())
        logits = lm.masked(
            torch.tensor([line], device=ids.device), laid, logits_to_keep=sum(laid.questions)
        )[0]
        for question in torch.split(logits, list(laid.questions)):
            short = max(0, kept - question.shape[0])
            found.append(functional.pad(question, (0, 0, short, 0))[-kept:])
    return torch.stack(found)


def compress_batch(
    lm: GistLM,
    document_ids: Tensor,
    document_mask: Tensor,
    spec: GistSpec,
    head: Sequence[int] = (),
) -> KeyValues:
    """Compress documents of as many chunks: chunk by chunk, the gists joined.

    Args:
        lm: The model.
        document_ids: `[B, N]`, left-padded.
        document_mask: True at real tokens.
        spec: Gists per window, and its length: the model's, or fewer and shorter.
        head: Ids that precede every document.

    Returns:
        Per layer keys and values `[B, K, chunks * G, D]`, where each chunk fills G gists.
    """
    cuts = [cut(length, spec) for length in document_mask.sum(dim=1).tolist()]
    chunks, count = len(cuts[0][0]), cuts[0][1]
    if chunks == 1:
        ids, mask = with_head(head, document_ids, document_mask)
        return lm.compress(
            ids, None if bool(mask.all()) else mask, gists=count, offset=len(head), head=len(head)
        )
    documents = [
        (ids[mask].tolist(), spans)
        for ids, mask, (spans, _) in zip(document_ids, document_mask, cuts, strict=True)
    ]
    carry = spec.chunking == "carry"
    seen: list[KeyValues] = []
    if head and carry:
        read = lm.read(torch.tensor([head], device=document_ids.device))
        seen = [shared(read, len(document_ids))]
    parts: list[KeyValues] = []
    for index in range(chunks):
        own_head = [] if index and carry else list(head)
        ids, mask = left_pad(
            [own_head + tokens[slice(*spans[index])] for tokens, spans in documents]
        )
        ids, mask = ids.to(document_ids.device), mask.to(document_ids.device)
        parts.append(
            lm.compress(
                ids,
                None if bool(mask.all()) else mask,
                gists=count,
                offset=len(head) + index * count,
                head=len(own_head),
                prefix=concatenate(*seen, *parts) if parts and carry else None,
            )
        )
    return concatenate(*parts)


def with_head(head: Sequence[int], ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Put the head in front of every document of a left-padded batch.

    Args:
        head: Its ids.
        ids: `[B, N]`.
        mask: True at real tokens.

    Returns:
        Ids and mask `[B, H + N]`.
    """
    if not head:
        return ids, mask
    rows = [[*head, *row[real].tolist()] for row, real in zip(ids, mask, strict=True)]
    longer, real = left_pad(rows)
    return longer.to(ids.device), real.to(ids.device)
