"""Examples to padded tensors: documents and questions are left-padded, answers end every row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example
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


def question_ids(encoder: TextEncoder, template: str, question: str) -> list[int]:
    """Encode a question in the model's own frame, the frame and the user's text apart.

    The frame may hold control tokens (a chat template does), the user's text never becomes one.
    """
    before, after = template.split("{question}")
    return encoder.encode_frame(before) + encoder.encode(question) + encoder.encode_frame(after)


def answer_ids(encoder: TextEncoder, answer: str) -> list[int]:
    """Encode a gold answer as it is generated: a space, the text, the end token."""
    return [*encoder.encode(" " + answer), encoder.eos_id]


def _asked(
    example: Example, encoder: TextEncoder, template: str
) -> list[tuple[list[int], list[int]]]:
    """Encode every question of an example, and its answer."""
    return [
        (question_ids(encoder, template, question.text), answer_ids(encoder, question.answer))
        for question in example.questions
    ]


def collate(
    examples: Sequence[Example],
    encoder: TextEncoder,
    template: str,
    documents: Sequence[Sequence[int]] | None = None,
) -> dict[str, Tensor]:
    """Build one training batch; every document appears once, however many questions it has.

    Args:
        examples: Documents with questions.
        encoder: Text to ids.
        template: The model's question frame.
        documents: The documents' ids, if the caller has them already.

    Returns:
        `document_ids`, `document_mask` `[B, N]`; `input_ids`, `attention_mask` `[R, Q]` for the R
        questions with their answers; `labels` `[R, A+1]` for the last A+1 tokens of `input_ids`
        (first column ignored, so that logits shift as usual); `document_index` `[R]`.
    """
    if documents is None:
        documents = [encoder.start_ids + encoder.encode(e.document) for e in examples]
    document_ids, document_mask = left_pad(documents)
    rows: list[list[int]] = []
    answers: list[list[int]] = []
    index: list[int] = []
    for number, example in enumerate(examples):
        for question, answer in _asked(example, encoder, template):
            rows.append(question + answer)
            answers.append(answer)
            index.append(number)
    input_ids, attention_mask = left_pad(rows)
    labels, _ = left_pad(answers, IGNORE)
    ignored = torch.full((len(rows), 1), IGNORE)
    return {
        "document_ids": document_ids,
        "document_mask": document_mask,
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "labels": torch.cat([ignored, labels], dim=1),
        "document_index": torch.tensor(index),
    }


def collate_masked(
    example: Example, encoder: TextEncoder, spec: GistSpec
) -> tuple[dict[str, Tensor], Layout]:
    """Lay one example out as the single masked sequence that defines the model.

        ids      d1 d2 d3 |  0  0 | q1 q2 a1 a2 | q1 a1
        labels    .  .  . |  .  . |  .  . a1 a2 |  . a1       (. = ignored)

    The reference mask is `gist.mask.visible` of the layout. A long document is chunked, each chunk
    followed by its gists.

    Args:
        example: A document with questions.
        encoder: Text to ids.
        spec: How the model compresses.

    Returns:
        `input_ids` and `labels` `[1, T]` (0 at gist slots, whose embeddings the model puts in), and
        where everything stands.
    """
    document = encoder.start_ids + encoder.encode(example.document)
    rows = _asked(example, encoder, spec.question_template)
    ids, layout = sequence(document, [question + answer for question, answer in rows], spec)
    labels = [IGNORE] * (len(ids) - sum(layout.questions))
    for question, answer in rows:
        labels += [IGNORE] * len(question) + answer
    return {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}, layout


def sequence(
    document: Sequence[int],
    questions: Sequence[Sequence[int]],
    spec: GistSpec,
) -> tuple[list[int], Layout]:
    """Join a document's chunks, each followed by its gists (as zeros), and questions.

    Args:
        document: Its ids.
        questions: Ids of each, with its answer.
        spec: How the model compresses.
    """
    spans, each = cut(len(document), spec)
    layout = Layout(
        tuple(stop - start for start, stop in spans),
        each,
        tuple(map(len, questions)),
        spec.placement,
        spec.chunking,
    )
    ids: list[int] = []
    for start, stop in spans:
        ids += [*document[start:stop], *[0] * each]
    for question in questions:
        ids += question
    return ids, layout
