"""The state file of `refine`, from which an interrupted run resumes.

The file is next to the output while a document is refined. It is written atomically, is readable by
its owner only, and is removed once the gist is saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from dnsity.errors import BadInputError, DamagedFileError, first_line
from dnsity.inference.gist_file import write_atomically
from dnsity.inference.methods.refine.plan import Plan
from dnsity.inference.methods.refine.scoring import Score
from dnsity.inference.methods.refine.slots import Best, Slots
from dnsity.shapes import KeyValues


def identity(ids: Sequence[int], fingerprints: dict[str, str], settings: dict[str, Any]) -> str:
    """Return a hash of document, model and settings, which a state file must agree with."""
    whole = json.dumps([list(ids), fingerprints, settings], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


class State:
    """The state file of a run.

    Args:
        path: Path of the file; None: nothing is saved.
        identity: Hash of document, model and settings.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        """Read nothing yet."""
        self.path, self.identity = path, identity

    def save(self, slots: Slots) -> None:
        """Write the state atomically."""
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
            "plan": None if slots.plan is None else asdict(slots.plan),
        }
        write_atomically(
            self.path, serialise(slots.tensors(), metadata={"state": json.dumps(about)})
        )

    def load(self, device: torch.device) -> Slots | None:
        """Return the saved slots; None if there is no state file.

        Raises:
            BadInputError: If the state is of another document, model or settings.
            DamagedFileError: If the file is damaged.
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
                f"{self.path} is not the state of a run ({first_line(error)}); remove it to start "
                "from the beginning"
            ) from error
        raise BadInputError(
            f"{self.path} is the state of a run on another document, model or settings; resume "
            "that run with its own command, or remove the file to start from the beginning"
        )


def _restored(about: dict[str, Any], tensors: dict[str, Tensor]) -> Slots:
    """Return slots and optimizer from the contents of a state file."""
    count = len(tensors) // 5

    def named(name: str) -> list[Tensor]:
        return [tensors[f"{name}.{number}"] for number in range(count)]

    def paired(flat: list[Tensor]) -> KeyValues:
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    fixed = named("still")
    whole = [torch.cat(both, dim=2) for both in zip(fixed, named("moving"), strict=True)]
    slots = Slots(paired(whole), fixed[0].shape[2], about["start"])
    slots.sizes = list(about["sizes"])
    slots.step, slots.seconds, slots.waited = about["step"], about["seconds"], about["waited"]
    slots.before = Score(**about["before"])
    answers, is_start = tuple(about["answers"]), bool(about["is_start"])
    slots.best = Best(paired(named("best")), Score(**about["best"]), answers, is_start)
    slots.lowest, slots.full = float(about["lowest"]), tuple(about["full"])
    slots.plan = None if about["plan"] is None else Plan(**about["plan"])
    optimizer_states = zip(slots.trainable, named("mean"), named("square"), strict=True)
    for trainable, mean, square in optimizer_states:
        slots.adam.state[trainable] = {
            "step": torch.tensor(float(slots.step)), "exp_avg": mean, "exp_avg_sq": square,
        }  # fmt: skip
    return slots
