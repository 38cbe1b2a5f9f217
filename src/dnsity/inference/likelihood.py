"""How likely a model holds given continuations of a question, behind a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dnsity.data.collate import left_pad, question_ids
from dnsity.errors import BadInputError
from dnsity.inference.generate import require_room
from dnsity.inference.loaded import LoadedModel
from dnsity.model.key_values import shared
from dnsity.shapes import KeyValues


@dataclass(frozen=True, slots=True)
class Likelihood:
    """One continuation under the model.

    Attributes:
        log: Natural logarithm of its probability, summed over its tokens.
        tokens: How many it has.
        greedy: Whether greedy decoding would produce just this.
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

        prefix | question frame with question | continuation      only its tokens are scored

    Args:
        loaded: Model and tokenizer.
        prefix: Keys and values `[1, K, G, D]` per layer; None for no document.
        question: What stands before the continuations.
        continuations: At least one; each is encoded apart from the question, white space and all.
        template: The question's frame (default: the model's own).

    Returns:
        One likelihood per continuation, in order.

    Raises:
        BadInputError: If a continuation has no token, or question and continuation do not fit the
            model's window.
    """
    frame = loaded.lm.spec.question_template if template is None else template
    asked = question_ids(loaded.encoder, frame, question)
    if prefix is None:
        asked = loaded.encoder.start_ids + asked
    if not asked and prefix is None:
        asked = [loaded.encoder.eos_id]  # something must stand before the first scored token
    scored = [loaded.encoder.encode(text) for text in continuations]
    if not scored or not all(scored):
        raise BadInputError("a continuation is empty; give at least one character to score")
    ids, mask = left_pad([asked + row for row in scored], loaded.encoder.eos_id)
    slots = 0 if prefix is None else prefix[0][0].shape[-2]
    require_room(loaded, slots, ids.shape[1], 0)
    longest = max(map(len, scored))
    logits = loaded.lm.answer(
        None if prefix is None else shared(prefix, len(scored)),
        ids.to(loaded.device),
        None if bool(mask.all()) else mask.to(loaded.device),
        logits_to_keep=longest + 1,
    )
    logs = logits[:, :-1].float().log_softmax(dim=-1).cpu()
    found = []
    for row, own in zip(logs, scored, strict=True):
        theirs = row[-len(own) :]
        picked = theirs.gather(1, torch.tensor(own)[:, None])
        greedy = bool((theirs.argmax(dim=-1) == torch.tensor(own)).all())
        found.append(Likelihood(float(picked.sum()), len(own), greedy))
    return found
