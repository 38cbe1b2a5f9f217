"""The slots of one document as trainable parameters, and the best of them so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dnsity.inference.methods.refine.plan import Plan
from dnsity.inference.methods.refine.scoring import Score
from dnsity.shapes import KeyValues

_GAIN = 1e-3
"""Relative decrease of the loss that counts as an improvement."""
_BETAS = (0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Best:
    """The best slots so far.

    Attributes:
        layers: Keys and values `[1, K, G, D]`.
        score: Score on held-out examples.
        answers: Which held-out questions are answered right.
        is_start: Whether these are the untrained slots of the start.
    """

    layers: KeyValues
    score: Score
    answers: tuple[bool, ...] = ()
    is_start: bool = False

    def report(self, before: Score | None) -> dict[str, Any]:
        """Return the scores on held-out examples before and after training."""
        found: dict[str, Any] = {}
        for name, value in asdict(self.score).items():
            first = None if before is None else asdict(before)[name]
            found[f"{name}_before"] = None if first is None else round(first, 4)
            found[f"{name}_after"] = None if value is None else round(value, 4)
        return found


class Slots:
    """Trainable keys and values in float32, with the state of their optimizer.

    Attributes:
        fixed: Leading slots of each key and value tensor, which are not trained.
        trainable: The other slots of each tensor.
        sizes: Root mean square of each initial tensor, which scales its learning rate.
        step: Steps taken.
        seconds: Time spent when the state was last saved.
        waited: Evaluations since the loss was lowest.
        before: Score of the initial slots; None before the first evaluation.
        best: The best slots so far; None before the first evaluation.
        lowest: Lowest loss on held-out examples.
        plan: Amounts of work.
        full: Which held-out questions are answered right with full context.

    Args:
        layers: Initial keys and values, `[1, K, G, D]`.
        frozen: Number of leading slots that are not trained.
        start: Method that made the initial values.
        head: How many of the frozen slots belong to the frame's head.
    """

    def __init__(self, layers: KeyValues, frozen: int, start: str, head: int = 0) -> None:
        """Copy the initial values; the given tensors are not changed."""
        flat = [tensor.clone().float() for layer in layers for tensor in layer]
        self.fixed = [tensor[:, :, :frozen] for tensor in flat]
        self.trainable = [tensor[:, :, frozen:].clone().requires_grad_() for tensor in flat]
        # Sizes of keys and values differ much between layers: step sizes are relative to them.
        self.sizes = [float(tensor[:, :, head:].square().mean().sqrt()) for tensor in flat]
        self.adam = torch.optim.Adam([{"params": [x]} for x in self.trainable], betas=_BETAS)
        self.start = start
        self.step = 0
        self.seconds = 0.0
        self.waited = 0
        self.before: Score | None = None
        self.best: Best | None = None
        self.lowest = math.inf
        self.plan: Plan | None = None
        self.full: tuple[bool, ...] = ()

    def layers(self, dtype: torch.dtype) -> KeyValues:
        """Return all slots as a prefix, `[1, K, G, D]` per layer."""
        whole = [
            torch.cat([fixed, trainable], dim=2).to(dtype)
            for fixed, trainable in zip(self.fixed, self.trainable, strict=True)
        ]
        return tuple(zip(whole[::2], whole[1::2], strict=True))

    def learn(self, loss: Tensor, rate: float) -> None:
        """Take one step of size `rate`, relative to each tensor's own size."""
        gradients = torch.autograd.grad(loss, self.trainable)
        for tensor, gradient in zip(self.trainable, gradients, strict=True):
            tensor.grad = gradient
        for group, size in zip(self.adam.param_groups, self.sizes, strict=True):
            group["lr"] = rate * size
        self.adam.step()
        self.step += 1

    def keep_if_best(self, score: Score, answer: Callable[[], tuple[bool, ...]]) -> None:
        """Keep the slots if they are the best so far.

        They are if their loss is lower and they answer at least as many held-out questions. They
        must answer more questions than the start, unless it answers as many as full context.

        Args:
            score: Score on held-out examples.
            answer: Asks the held-out questions; called only if the loss is the lowest so far.
        """
        first = self.best is None
        if not first and score.loss >= self.lowest * (1 - _GAIN):
            self.waited += 1
            return
        self.lowest, self.waited = min(score.loss, self.lowest), 0
        answers = answer()
        score = replace(score, right=sum(answers))
        fewest = 0
        if self.best is not None:
            right = sum(self.best.answers)
            fewest = right + int(self.best.is_start and right < sum(self.full))
        if sum(answers) >= fewest:
            kept = tuple((k.detach().clone(), v.detach().clone()) for k, v in
                         self.layers(torch.float32))  # fmt: skip
            self.best = Best(kept, score, answers, is_start=first)

    def tensors(self) -> dict[str, Tensor]:
        """Return slots, best slots and optimizer state as named tensors."""
        assert self.best is not None
        found: dict[str, Tensor] = {}
        best = [tensor for layer in self.best.layers for tensor in layer]
        for number, trainable in enumerate(self.trainable):
            memory = self.adam.state[trainable] or {  # empty before the first step
                name: torch.zeros_like(trainable) for name in ("exp_avg", "exp_avg_sq")
            }
            parts = {"still": self.fixed[number], "moving": trainable, "best": best[number],
                     "mean": memory["exp_avg"], "square": memory["exp_avg_sq"]}  # fmt: skip
            found |= {
                f"{name}.{number}": x.detach().cpu().contiguous() for name, x in parts.items()
            }
        return found
