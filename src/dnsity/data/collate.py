"""Examples to padded tensors: documents and questions are left-padded, answers end every row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dnsity.data.example import Example
from dnsity.data.text.frame import Frame
from dnsity.gist.layout import Layout, cut
from dnsity.gist.spec import GistSpec

IGNORE = -100
"""Label of positions that carry no loss (the HuggingFace convention)."""


def left_pad(rows: Sequence[Sequence[int]], value: int = 0) -> tuple[Tensor, Tensor]:
    """Stack id lists to `[B, T]`, padding on the left.

    Returns:
        The ids, and a mask that is True at real tokens.
    """
    width = max(map(len, rows))
    ids = torch.tensor([[value] * (width - len(row)) + list(row) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width)[None] >= width - lengths[:, None]
    return ids, mask


def _asked(example: Example, frame: Frame) -> list[tuple[list[int], list[int]]]:
    """Encode every question of an example, and its answer."""
    return [
        (frame.question(question.text), frame.answer(question.answer))
        for question in example.questions
    ]


def collate(
    examples: Sequence[Example],
    frame: Frame,
    documents: Sequence[Sequence[int]] | None = None,
) -> dict[str, Tensor]:
    """Build one training batch; every document appears once, however many questions it has.

    Args:
        examples: Documents with questions.
        frame: How the model's prompts are laid out.
        documents: The documents' ids, if the caller has them already.

    Returns:
        `head_ids` `[H]`, which precede every document (often none); `document_ids`,
        `document_mask` `[B, N]`; `input_ids`, `attention_mask` `[R, Q]` for the R
        questions with their answers; `labels` `[R, A+1]` for the last A+1 tokens of `input_ids`
        (first column ignored, so that logits shift as usual); `document_index` `[R]`.
    """
    if documents is None:
        documents = [frame.document(e.document) for e in examples]
    document_ids, document_mask = left_pad(documents)
    rows: list[list[int]] = []
    answers: list[list[int]] = []
    index: list[int] = []
    for number, example in enumerate(examples):
        for question, answer in _asked(example, frame):
            rows.append(question + answer)
            answers.append(answer)
            index.append(number)
    input_ids, attention_mask = left_pad(rows)
    labels, _ = left_pad(answers, IGNORE)
    ignored = torch.full((len(rows), 1), IGNORE)
    return {
        "head_ids": torch.tensor(frame.head, dtype=torch.long),
        "document_ids": document_ids,
        "document_mask": document_mask,
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": torch.cat([ignored, labels], dim=1),
        "document_index": torch.tensor(index),
    }


def collate_masked(
    example: Example, frame: Frame, spec: GistSpec
) -> tuple[dict[str, Tensor], Layout]:
    """Lay one example out as the single masked sequence that defines the model.

        ids      d1 d2 d3 |  0  0 | q1 q2 a1 a2 | q1 a1
        labels    .  .  . |  .  . |  .  . a1 a2 |  . a1       (. = ignored)

    The reference mask is `gist.mask.visible` of the layout. A long document is chunked, each chunk
    followed by its gists.

    Args:
        example: A document with questions.
        frame: How the model's prompts are laid out.
        spec: How the model compresses.

    Returns:
        `input_ids` and `labels` `[1, T]` (0 at gist slots, whose embeddings the model puts in), and
        where everything stands.
    """
    document = frame.document(example.document)
    rows = _asked(example, frame)
    questions = [question + answer for question, answer in rows]
    ids, layout = sequence(document, questions, spec, head=frame.head)
    labels = [IGNORE] * (len(ids) - sum(layout.questions))
    for question, answer in rows:
        labels += [IGNORE] * len(question) + answer
    return {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}, layout


def sequence(
    document: Sequence[int],
    questions: Sequence[Sequence[int]],
    spec: GistSpec,
    *,
    head: Sequence[int] = (),
) -> tuple[list[int], Layout]:
    """Join head, a document's chunks, each followed by its gists (as zeros), and questions.

    Args:
        document: Its ids.
        questions: Ids of each, with its answer.
        spec: How the model compresses.
        head: Ids that precede every document. Each chunk is read after a copy of its own, unless
            chunks see earlier ones (`carry`).
    """
    spans, each = cut(len(document), spec)
    chunks = [
        [*(head if number == 0 or spec.chunking == "independent" else ()), *document[start:stop]]
        for number, (start, stop) in enumerate(spans)
    ]
    layout = Layout(
        tuple(map(len, chunks)),
        each,
        tuple(map(len, questions)),
        spec.placement,
        spec.chunking,
        len(head),
    )
    ids = [*head]
    for chunk in chunks:
        ids += [*chunk, *[0] * each]
    for question in questions:
        ids += question
    return ids, layout
