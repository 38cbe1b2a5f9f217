"""Keys and values of one document as parameters, and the file a stopped run goes on from.

The file stands beside the output while a document is refined. It is written whole or not at all,
readable by the owner only, and removed once the gist is saved.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from dnsity.errors import BadInputError, DamagedFileError, first_line
from dnsity.inference.plan import Plan
from dnsity.inference.store import write_whole
from dnsity.inference.trial import Score
from dnsity.shapes import KeyValues

_GAIN = 1e-3
"""Share by which the loss must fall to count as better."""
_BETAS = (0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Best:
    """The best slots so far.

    Attributes:
        layers: Keys and values `[1, K, G, D]`.
        score: On held-out rows.
        answers: Which held-out questions are answered right.
        is_start: Whether they are where training began.
    """

    layers: KeyValues
    score: Score
    answers: tuple[bool, ...] = ()
    is_start: bool = False

    def report(self, before: Score | None) -> dict[str, Any]:
        """Say what training changed, on rows it did not learn from."""
        found: dict[str, Any] = {}
        for name, value in asdict(self.score).items():
            first = None if before is None else asdict(before)[name]
            found[f"{name}_before"] = None if first is None else round(first, 4)
            found[f"{name}_after"] = None if value is None else round(value, 4)
        return found


class Slots:
    """Trained keys and values, float32, with Adam's memory of them.

    Args:
        layers: Where they start, `[1, K, G, D]`.
        frozen: How many of the first slots stay as they are.
        start: What they started from.
        head: How many of those are the frame's head.
    """

    def __init__(self, layers: KeyValues, frozen: int, start: str, head: int = 0) -> None:
        """Copy the start; nothing given is written to."""
        flat = [tensor.clone().float() for layer in layers for tensor in layer]
        self.still = [tensor[:, :, :frozen] for tensor in flat]
        self.moving = [tensor[:, :, frozen:].clone().requires_grad_() for tensor in flat]
        # Keys and values of every layer differ in size, by far: steps are shares of it.
        self.sizes = [float(tensor[:, :, head:].square().mean().sqrt()) for tensor in flat]
        self.adam = torch.optim.Adam([{"params": [x]} for x in self.moving], betas=_BETAS)
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
        """Give them as a prefix, `[1, K, G, D]` per layer."""
        whole = [
            torch.cat([still, moving], dim=2).to(dtype)
            for still, moving in zip(self.still, self.moving, strict=True)
        ]
        return tuple(zip(whole[::2], whole[1::2], strict=True))

    def learn(self, loss: Tensor, rate: float) -> None:
        """Take one step of size `rate`, as a share of each tensor's own size."""
        gradients = torch.autograd.grad(loss, self.moving)
        for tensor, gradient in zip(self.moving, gradients, strict=True):
            tensor.grad = gradient
        for group, size in zip(self.adam.param_groups, self.sizes, strict=True):
            group["lr"] = rate * size
        self.adam.step()
        self.step += 1

    def judge(self, score: Score, answer: Callable[[], tuple[bool, ...]]) -> None:
        """Keep the slots if they are the best so far.

        That is, if their loss is lower and they answer no fewer held-out questions. Against the
        start they must answer more, unless it answers as many as full context does already.

        Args:
            score: On held-out rows.
            answer: Asks the held-out questions; called only where the loss is the lowest so far.
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
        """All of it as named tensors."""
        assert self.best is not None
        found: dict[str, Tensor] = {}
        best = [tensor for layer in self.best.layers for tensor in layer]
        for number, moving in enumerate(self.moving):
            memory = self.adam.state[moving]
            parts = {"still": self.still[number], "moving": moving, "best": best[number],
                     "mean": memory["exp_avg"], "square": memory["exp_avg_sq"]}  # fmt: skip
            found |= {
                f"{name}.{number}": x.detach().cpu().contiguous() for name, x in parts.items()
            }
        return found


def identity(ids: Sequence[int], fingerprints: dict[str, str], settings: dict[str, Any]) -> str:
    """Name what a state belongs to: document, model and settings, but for how long it may take."""
    whole = json.dumps([list(ids), fingerprints, settings], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


class State:
    """The file of a run that may be stopped.

    Args:
        path: Where it is; None: nothing is saved.
        identity: What it belongs to.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        """Nothing is read yet."""
        self.path, self.identity = path, identity

    def save(self, slots: Slots) -> None:
        """Write the state, whole or not at all."""
        if self.path is None:
            return
        assert slots.best is not None
        assert slots.before is not None
        about = {
            "identity": self.identity,
            "start": slots.start,
            "step": slots.step,
            "seconds": slots.seconds,
            "waited": slots.waited,
            "sizes": slots.sizes,
            "before": asdict(slots.before),
            "best": asdict(slots.best.score),
            "answers": slots.best.answers,
            "is_start": slots.best.is_start,
            "lowest": slots.lowest,
            "full": slots.full,
            "plan": None if slots.plan is None else slots.plan.as_dict(),
        }
        write_whole(self.path, serialise(slots.tensors(), metadata={"state": json.dumps(about)}))

    def load(self, device: torch.device) -> Slots | None:
        """Read the state; None if there is none.

        Raises:
            BadInputError: If it is of another document, model or settings.
            DamagedFileError: If it is not what was written.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(str(self.path), framework="pt", device=str(device)) as file:
                about = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about["identity"] == self.identity:
                return _restored(about, tensors)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedFileError(
                f"{self.path} is no state of a run ({first_line(error)}); remove it to start anew"
            ) from error
        raise BadInputError(
            f"{self.path} is the state of a run on another document, model or settings; run that "
            "again to go on with it, or remove the file to start anew"
        )


def _restored(about: dict[str, Any], tensors: dict[str, Tensor]) -> Slots:
    count = len(tensors) // 5

    def named(name: str) -> list[Tensor]:
        return [tensors[f"{name}.{number}"] for number in range(count)]

    def paired(flat: list[Tensor]) -> KeyValues:
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    still = named("still")
    whole = [torch.cat(both, dim=2) for both in zip(still, named("moving"), strict=True)]
    slots = Slots(paired(whole), still[0].shape[2], about["start"])
    slots.sizes = list(about["sizes"])
    slots.step, slots.seconds, slots.waited = about["step"], about["seconds"], about["waited"]
    slots.before = Score(**about["before"])
    answers, is_start = tuple(about["answers"]), bool(about["is_start"])
    slots.best = Best(paired(named("best")), Score(**about["best"]), answers, is_start)
    slots.lowest, slots.full = float(about["lowest"]), tuple(about["full"])
    slots.plan = None if about["plan"] is None else Plan(**about["plan"])
    memories = zip(slots.moving, named("mean"), named("square"), strict=True)
    for moving, mean, square in memories:
        slots.adam.state[moving] = {
            "step": torch.tensor(float(slots.step)), "exp_avg": mean, "exp_avg_sq": square,
        }  # fmt: skip
    return slots
