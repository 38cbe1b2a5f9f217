"""Trainer callbacks: the resumable state of a run, the metrics file, the progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState, ProgressCallback

from dnsity.data.batch import Batch, QuestionBatch
from dnsity.io.atomic import atomic_text
from dnsity.io.jsonl import complete_lines
from dnsity.training.batches import Batches

METRICS = "metrics.jsonl"


class RunState(TrainerCallback, ExportableState):
    """The state of a run, stored in Trainer's own state file, so that a run can be resumed.

    The answers of a step are counted over all micro-batches and processes before the curriculum
    gets them, so that all processes advance to the next stage at the same step.
    """

    reduce: Callable[..., Tensor]
    """Sums a tensor over processes; the trainer sets it."""

    def __init__(self, batches: Batches) -> None:
        """Start at zero."""
        self.batches = batches
        self.tokens = 0
        """Tokens trained on: documents, gists, questions and answers, each counted once."""
        self.seconds = 0.0
        """Training time, including that before the run was resumed."""
        self._counts = torch.zeros(3, dtype=torch.long)
        self._mode: Any = None
        self._since = (0.0, 0)

    def count(self, batch: Batch, right: Tensor) -> None:
        """Count one micro-batch: right answers, scored answers, tokens."""
        self._mode = batch.mode
        correct = scored = 0
        if isinstance(batch, QuestionBatch):
            correct, scored = int(right[batch.scored].sum()), int(batch.scored.sum())
        self._counts += torch.tensor([correct, scored, batch.tokens])

    def describe(self) -> dict[str, float]:
        """Return the fields of every log line: stage, running accuracies, tokens per second."""
        now, tokens = time.perf_counter(), self.tokens
        (before, had), self._since = self._since, (now, tokens)
        curriculum = self.batches.curriculum
        logged: dict[str, float] = {"stage": curriculum.index}
        logged.update({f"right_{k}": round(v, 4) for k, v in curriculum.accuracy.items()})
        if tokens > had:
            logged["tokens_per_second"] = round((tokens - had) / (now - before), 1)
        return logged

    def state(self) -> dict[str, Any]:
        """Return what Trainer writes to `trainer_state.json`."""
        kept = {
            "curriculum": self.batches.curriculum.state(),
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        return {"args": {}, "attributes": kept}

    def read(self, checkpoint: Path) -> None:
        """Load the state of a checkpoint."""
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))
        self._restore(state["stateful_callbacks"][type(self).__name__]["attributes"])

    def _restore(self, kept: dict[str, Any]) -> None:
        self.batches.curriculum.restore(kept["curriculum"])
        self.tokens, self.seconds = int(kept["tokens"]), float(kept["seconds"])

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Resume at the step and the stage of the checkpoint."""
        saved = cast(dict[str, Any], state.stateful_callbacks).get(type(self).__name__)
        if state.global_step and isinstance(saved, dict):
            self._restore(saved["attributes"])
            self.batches.first = state.global_step
        self._since = (time.perf_counter(), self.tokens)
        self._begun = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Pass the step's accuracy to the curriculum."""
        counts = self._counts.to(args.device)
        right, asked, tokens = self.reduce(counts, reduction="sum").tolist()
        self._counts = torch.zeros_like(self._counts)
        self.batches.curriculum.observe(self._mode, right, asked)
        self.tokens += tokens
        now = time.perf_counter()
        self.seconds += now - self._begun
        self._begun = now


class Metrics(TrainerCallback):
    """Appends every log line to `metrics.jsonl` in the output directory."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Drop lines that a killed run wrote after the checkpoint that is resumed."""
        path = Path(args.output_dir or ".") / METRICS
        if not state.is_world_process_zero or not path.exists():
            return
        kept = [line for line in complete_lines(path) if _is_past(line, state)]
        with atomic_text(path) as lines:
            lines.writelines(line.decode() + "\n" for line in kept)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write one line."""
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir or ".") / METRICS
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


def _is_past(line: bytes, state: TrainerState) -> bool:
    """Return whether a line is complete and of a step that the run has completed."""
    try:
        return int(json.loads(line)["step"]) <= state.global_step
    except (ValueError, KeyError, TypeError):
        return False


class Bar(ProgressCallback):
    """One progress bar on standard error with loss, accuracies, probes and tokens per second."""

    def __init__(self) -> None:
        """Show no figures."""
        super().__init__()
        self.shown: dict[str, str] = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Update the figures next to the bar."""
        logs = logs or {}
        for key, value in logs.items():
            if key == "loss":
                self.shown["loss"] = f"{value:.3f}"
            elif key.startswith("right_") or key in ("probe_gist", "probe_full"):
                self.shown[key.removeprefix("right_").replace("_", " ")] = f"{value:.0%}"
            elif key == "tokens_per_second":
                self.shown["tok/s"] = f"{value:,.0f}"
        bar: Any = self.training_bar  # None in all processes except the first
        if bar is not None:
            bar.set_postfix(self.shown)

    def close(self) -> None:
        """End the bar; it stays on the screen."""
        bar: Any = self.training_bar
        if bar is not None:
            bar.close()
