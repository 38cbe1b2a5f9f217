"""What watches a run: its resumable state, the metrics file, the progress bar."""

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

from dnsity.io.atomic import atomic_text
from dnsity.io.jsonl import complete_lines
from dnsity.training.batches import Batches

METRICS = "metrics.jsonl"


class RunState(TrainerCallback, ExportableState):
    """Where a run stands; kept in Trainer's own state file, so that a resumed run continues.

    Answers of one step are counted over all micro-batches and processes before the curriculum
    hears of them, so that every process takes the same decision.
    """

    reduce: Callable[..., Tensor]
    """Sums a tensor over processes; the trainer sets it."""

    def __init__(self, batches: Batches) -> None:
        """Nothing has happened yet."""
        self.batches = batches
        self.tokens = 0
        """Tokens trained on: documents, gists, questions and answers, each counted once."""
        self.seconds = 0.0
        """Time spent in training, over all resumptions."""
        self._counts = torch.zeros(3, dtype=torch.long)
        self._mode: Any = None
        self._since = (0.0, 0)

    def take_in(self, batch: dict[str, Any], right: Tensor) -> None:
        """Count one micro-batch: answers right, answers asked, tokens."""
        scored = batch.get("scored")
        self._mode = batch["mode"]
        tokens = sum(int(batch[k].sum()) for k in ("document_mask", "attention_mask") if k in batch)
        self._counts += torch.tensor(
            [
                0 if scored is None else int(right[scored].sum()),
                0 if scored is None else int(scored.sum()),
                tokens or batch["input_ids"].numel(),
            ]
        )

    def describe(self) -> dict[str, float]:
        """Return what every log line says: stage, running accuracies, tokens per second."""
        now, tokens = time.perf_counter(), self.tokens
        (before, had), self._since = self._since, (now, tokens)
        curriculum = self.batches.curriculum
        said: dict[str, float] = {"stage": curriculum.index}
        said.update({f"right_{k}": round(v, 4) for k, v in curriculum.accuracy.items()})
        if tokens > had:
            said["tokens_per_second"] = round((tokens - had) / (now - before), 1)
        return said

    def state(self) -> dict[str, Any]:
        """Return what Trainer writes into `trainer_state.json`."""
        kept = {
            "curriculum": self.batches.curriculum.state(),
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        return {"args": {}, "attributes": kept}

    def read(self, checkpoint: Path) -> None:
        """Take over what a checkpoint says."""
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))
        self._restore(state["stateful_callbacks"][type(self).__name__]["attributes"])

    def _restore(self, kept: dict[str, Any]) -> None:
        self.batches.curriculum.restore(kept["curriculum"])
        self.tokens, self.seconds = int(kept["tokens"]), float(kept["seconds"])

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Continue at the step and the stage where the checkpoint was taken."""
        saved = cast(dict[str, Any], state.stateful_callbacks).get(type(self).__name__)
        if state.global_step and isinstance(saved, dict):
            self._restore(saved["attributes"])
            self.batches.first = state.global_step
        self._since = (time.perf_counter(), self.tokens)
        self._begun = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Tell the curriculum what the step's answers were like."""
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
        """Drop what a killed run wrote after the checkpoint that is gone on with."""
        path = Path(args.output_dir or ".") / METRICS
        if not state.is_world_process_zero or not path.exists():
            return
        kept = [line for line in complete_lines(path) if _is_behind(line, state)]
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


def _is_behind(line: bytes, state: TrainerState) -> bool:
    """Say whether a line is whole and of a step that the run has behind it."""
    try:
        return int(json.loads(line)["step"]) <= state.global_step
    except (ValueError, KeyError, TypeError):
        return False


class Bar(ProgressCallback):
    """One progress bar on standard error with loss, accuracies, probes and tokens per second."""

    def __init__(self) -> None:
        """Show nothing yet."""
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
        """Update the figures behind the bar."""
        logs = logs or {}
        for key, value in logs.items():
            if key == "loss":
                self.shown["loss"] = f"{value:.3f}"
            elif key.startswith("right_") or key in ("probe_gist", "probe_full"):
                self.shown[key.removeprefix("right_").replace("_", " ")] = f"{value:.0%}"
            elif key == "tokens_per_second":
                self.shown["tok/s"] = f"{value:,.0f}"
        bar: Any = self.training_bar  # none on other processes than the first
        if bar is not None:
            bar.set_postfix(self.shown)

    def close(self) -> None:
        """Leave the bar as it is."""
        bar: Any = self.training_bar
        if bar is not None:
            bar.close()
