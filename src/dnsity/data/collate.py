"""Examples to padded tensors: documents and questions are left-padded, answers end every row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example

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
    """Encode a question in the model's own frame, the frame and the user's text apart."""
    before, after = template.split("{question}")
    return encoder.encode(before) + encoder.encode(question) + encoder.encode(after)


def answer_ids(encoder: TextEncoder, answer: str) -> list[int]:
    """Encode a gold answer as it is generated: a space, the text, the end token."""
    return [*encoder.encode(" " + answer), encoder.eos_id]


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
        for question in example.questions:
            answer = answer_ids(encoder, question.answer)
            rows.append(question_ids(encoder, template, question.text) + answer)
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
