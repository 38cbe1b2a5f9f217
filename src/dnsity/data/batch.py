"""Training batches as typed tensors: examples in, padded token ids out.

    TextBatch       plain text                    input_ids, labels
    QuestionBatch   documents with questions      document_ids, input_ids, labels, document_index

Documents and questions are padded on the left, so all answers end in the last column:

    document_ids  . d1 d2 d3       input_ids  .  . q1 a1 a2       labels  . a1 a2
                 d1 d2 d3 d4                 q1 q2 q3 q4 a1               .  . a1

Shapes, in addition to those of `shapes.py`: **R** questions, **N** document tokens, **Q** tokens of
a question with its answer, **A** labelled columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dnsity.data.example import Example
from dnsity.data.text.frame import Frame

IGNORE = -100
"""Label of positions without loss (the convention of transformers)."""

TextMode = Literal["text", "repeat"]
QuestionMode = Literal["full", "gist"]
Mode = Literal["text", "repeat", "full", "gist"]
"""What a step trains.

    text    next-token prediction on plain text
    repeat  text that is repeated; only the repetition has labels, so this teaches copying
    full    answers conditioned on the whole document
    gist    answers conditioned on gists
"""


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Plain text in examples of equal length.

    Attributes:
        mode: `text` or `repeat`.
        input_ids: Token ids.
        labels: Labels of the last A tokens of `input_ids`. The first column is ignored, so the
            logits of column i predict the label of column i+1.
    """

    mode: TextMode
    input_ids: Int[Tensor, "B T"]
    labels: Int[Tensor, "B A"]

    def to(self, device: torch.device) -> TextBatch:
        """Return the batch on a device."""
        return _moved(self, device)

    @property
    def tokens(self) -> int:
        """Tokens that are trained on."""
        return self.input_ids.numel()

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return self.input_ids.shape[1]


@dataclass(frozen=True, eq=False)
class QuestionBatch:
    """Documents with questions; each document once, however many questions it has.

    Attributes:
        mode: `full` or `gist`.
        head: Token ids that precede every document, often none.
        document_ids: Token ids of the documents.
        document_mask: True at real tokens.
        input_ids: Token ids of the questions, each with its answer.
        attention_mask: True at real tokens.
        labels: Labels of the last A tokens of `input_ids`: the answers. The first column is
            ignored, so the logits of column i predict the label of column i+1.
        document_index: Which document each question is about.
        scored: Questions that count towards the accuracy.
        sources: Where each document comes from.
        gists: Gists per window in this step; None: as many as the model has.
        window_tokens: Length of a window in this step; None: the model's own.
    """

    mode: QuestionMode
    head: tuple[int, ...]
    document_ids: Int[Tensor, "B N"]
    document_mask: Bool[Tensor, "B N"]
    input_ids: Int[Tensor, "R Q"]
    attention_mask: Bool[Tensor, "R Q"]
    labels: Int[Tensor, "R A"]
    document_index: Int[Tensor, " R"]
    scored: Bool[Tensor, " R"]
    sources: tuple[str, ...]
    gists: int | None = None
    window_tokens: int | None = None

    def to(self, device: torch.device) -> QuestionBatch:
        """Return the batch on a device."""
        return _moved(self, device)

    @property
    def tokens(self) -> int:
        """Tokens that are trained on: documents, questions and answers, each counted once."""
        return int(self.document_mask.sum()) + int(self.attention_mask.sum())

    @property
    def longest(self) -> int:
        """Tokens of the longest document."""
        return self.document_ids.shape[1]

    def of_documents(
        self, documents: Int[Tensor, " some"]
    ) -> tuple[QuestionBatch, Int[Tensor, " asked"]]:
        """Return the batch of some of the documents, and the indices of their questions.

        Args:
            documents: Their indices, in ascending order.
        """
        longest = int(self.document_mask[documents].sum(dim=1).max())
        asked = torch.isin(self.document_index, documents).nonzero()[:, 0]
        part = replace(
            self,
            document_ids=self.document_ids[documents, -longest:],
            document_mask=self.document_mask[documents, -longest:],
            input_ids=self.input_ids[asked],
            attention_mask=self.attention_mask[asked],
            labels=self.labels[asked],
            scored=self.scored[asked],
            document_index=torch.searchsorted(documents, self.document_index[asked]),
            sources=tuple(self.sources[number] for number in documents.tolist()),
        )
        return part, asked


Batch: TypeAlias = TextBatch | QuestionBatch
_AnyBatch = TypeVar("_AnyBatch", TextBatch, QuestionBatch)


def _moved(batch: _AnyBatch, device: torch.device) -> _AnyBatch:
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    tensors: Any = {name: x.to(device) for name, x in values.items() if isinstance(x, Tensor)}
    return replace(batch, **tensors)


def left_pad(
    rows: Sequence[Sequence[int]], value: int = 0
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Stack lists of ids to `[B, T]`, padding on the left.

    Returns:
        The ids, and a mask that is True at real tokens.
    """
    width = max(map(len, rows))
    ids = torch.tensor([[value] * (width - len(row)) + list(row) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width)[None] >= width - lengths[:, None]
    return ids, mask


def collate(
    examples: Sequence[Example],
    frame: Frame,
    mode: QuestionMode = "gist",
    *,
    unscored: tuple[str, ...] = (),
) -> QuestionBatch:
    """Encode documents and their questions as one batch.

    Args:
        examples: Documents with questions.
        frame: The prompt format.
        mode: What the batch trains.
        unscored: Kinds of questions that do not count towards the accuracy, as prefixes.
    """
    document_ids, document_mask = left_pad([frame.document(e.document) for e in examples])
    asked = [(number, q) for number, e in enumerate(examples) for q in e.questions]
    answers = [frame.answer(question.answer) for _, question in asked]
    input_ids, attention_mask = left_pad(
        [
            frame.question(question.text) + answer
            for (_, question), answer in zip(asked, answers, strict=True)
        ]
    )
    labels, _ = left_pad([[IGNORE, *answer] for answer in answers], IGNORE)
    return QuestionBatch(
        mode=mode,
        head=tuple(frame.head),
        document_ids=document_ids,
        document_mask=document_mask,
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
        document_index=torch.tensor([number for number, _ in asked]),
        scored=torch.tensor([not question.kind.startswith(unscored) for _, question in asked]),
        sources=tuple(example.source for example in examples),
    )
