"""The likelihood of given continuations of a question, conditioned on a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dnsity.data.batch import left_pad
from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.inference.generate import require_room
from dnsity.inference.loaded import LoadedModel
from dnsity.model.finite import advice, type_name
from dnsity.model.key_values import shared, slots_of
from dnsity.model.uneven import is_uneven
from dnsity.shapes import KeyValues


@dataclass(frozen=True, slots=True)
class Likelihood:
    """One continuation under the model.

    Attributes:
        log: Natural logarithm of its probability, summed over its tokens.
        tokens: Number of its tokens.
        greedy: Whether greedy decoding would produce exactly this.
    """

    log: float
    tokens: int
    greedy: bool


@torch.inference_mode()
def likelihoods(
    loaded: LoadedModel,
    prefix: KeyValues | None,
    question: str,
    continuations: Sequence[str],
    *,
    template: str | None = None,
) -> list[Likelihood]:
    """Score continuations of one question in one batch; the prefix is never written to.

        head | prefix | question in its template | continuation      only the last is scored

    Args:
        loaded: Model and tokenizer.
        prefix: A document's slots, `[1, K, G, D]` per layer; None for no document.
        question: What precedes the continuations.
        continuations: At least one; each is encoded separately, with its white space.
        template: Question template to use instead of the frame's.

    Returns:
        One likelihood per continuation, in order.

    Raises:
        BadInputError: If a continuation has no token, or question and continuation do not fit the
            model's window.
        UnsupportedModelError: If the model overflows in its compute type.
    """
    frame = loaded.frame if template is None else Plain(loaded.encoder, template)
    asked = frame.question(question, alone=prefix is None)
    if prefix is None:
        # Without a head and a question, the end token precedes the first scored token.
        asked = loaded.frame.head + asked or [loaded.encoder.eos_id]
    scored = [frame.continuation(text) for text in continuations]
    if not scored or not all(scored):
        raise BadInputError("a continuation is empty; give at least one character to score")
    log_p = _log_probabilities(loaded, prefix, asked, scored)
    return [_likelihood(row[-len(ids) :], ids) for row, ids in zip(log_p, scored, strict=True)]


def _log_probabilities(
    loaded: LoadedModel, prefix: KeyValues | None, asked: list[int], scored: list[list[int]]
) -> Float[Tensor, "B A vocab"]:
    """Return the log-probabilities at the last tokens of each continuation, on the CPU."""
    ids, mask = left_pad([asked + row for row in scored], loaded.encoder.eos_id)
    whole = None if prefix is None else loaded.after_head(prefix)
    require_room(loaded, slots_of(whole), ids.shape[1], 0)
    longest = max(map(len, scored))
    with loaded.answering(prefix, uneven=is_uneven(prefix)) as base:
        logits = loaded.lm.answer(
            None if whole is None else shared(whole, len(scored)),
            ids.to(loaded.device),
            None if bool(mask.all()) else mask.to(loaded.device),
            logits_to_keep=longest + 1,
            base=base,
        )
    logs = logits[:, :-1].float().log_softmax(dim=-1).cpu()
    if bool(logs.isnan().any()):
        raise UnsupportedModelError(
            f"{loaded.name}: logits are not finite numbers in {type_name(logits.dtype)}; "
            f"{advice(logits.dtype)}"
        )
    return logs


def _likelihood(log_p: Float[Tensor, "A vocab"], ids: list[int]) -> Likelihood:
    """Score one continuation by the log-probabilities at its tokens."""
    expected = torch.tensor(ids)
    greedy = bool((log_p.argmax(dim=-1) == expected).all())
    return Likelihood(float(log_p.gather(1, expected[:, None]).sum()), len(ids), greedy)
