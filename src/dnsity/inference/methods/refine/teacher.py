"""Teacher outputs of `refine`: what the base model predicts for training examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dnsity.inference.distillation import gold_log_p, top_of
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.refine.examples import Example
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import KeyValues

_TOP = 64
"""Number of most likely tokens kept of each teacher distribution."""
EXAMPLES_PER_PASS = 16
"""Examples run in one forward pass, for teacher outputs and for scores."""


class TeacherOutput(NamedTuple):
    """The base model's predictions for the answer of one example.

    Attributes:
        top_ids: The most likely tokens, `[A, top]`.
        top_log_p: Their log-probabilities, `[A, top]`.
        log_p: Log-probabilities of the answer's own tokens, `[A]`.
    """

    top_ids: Tensor
    top_log_p: Tensor
    log_p: Tensor


def answer_logits(
    lm: GistLM, prefix: KeyValues | None, examples: Sequence[Example]
) -> tuple[Tensor, Tensor]:
    """Return logits `[S, vocab]` of all answer tokens, given a prefix, and the tokens `[S]`."""
    logits = lm.answer_packed(
        prefix,
        [example.prompt + example.answer for example in examples],
        [len(example.answer) for example in examples],
    )
    tokens = [token for example in examples for token in example.answer]
    return logits, torch.tensor(tokens, device=logits.device)


@torch.inference_mode()
def teacher_outputs(
    loaded: LoadedModel, examples: Sequence[Example], document: KeyValues | None
) -> list[TeacherOutput]:
    """Return the predictions of the base model, without adapter, for examples.

    Args:
        loaded: Model and tokenizer.
        examples: What the base model answers, conditioned on the document if the example says so.
        document: The document's keys and values; None: no example is conditioned on it.
    """
    lm = loaded.lm
    whole = loaded.head if document is None else loaded.after_head(document)
    found: dict[int, TeacherOutput] = {}
    for sees in (False, True):
        numbers = [n for n, example in enumerate(examples) if example.sees_document == sees]
        for first in range(0, len(numbers), EXAMPLES_PER_PASS):
            some = numbers[first : first + EXAMPLES_PER_PASS]
            with lm.without_adapter():
                prefix = whole if sees else loaded.head
                logits, answers = answer_logits(lm, prefix, [examples[n] for n in some])
            top_ids, top_log_p = top_of(logits, _TOP)
            gold = gold_log_p(logits, answers)
            sizes = [len(examples[n].answer) for n in some]
            parts = (torch.split(tensor, sizes) for tensor in (top_ids, top_log_p, gold))
            found |= dict(zip(some, map(TeacherOutput, *parts), strict=True))
    return [found[n] for n in range(len(examples))]
