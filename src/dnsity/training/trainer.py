"""HuggingFace's Trainer with our loss: one compress (or read) per document, many questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import (
    Trainer as HuggingFaceTrainer,
)
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState, PrinterCallback, ProgressCallback

from dnsity.data.collate import IGNORE
from dnsity.errors import DivergedError
from dnsity.model.gist_lm import GistLM, select
from dnsity.training.batches import Batches
from dnsity.training.objective import answer_cross_entropy, exactly_right
from dnsity.training.resume import newest_whole, steps_done

WEIGHTS = "trainable.safetensors"


class GistTrainer(HuggingFaceTrainer):
    """Trains a `GistLM` on batches that say which mode they train.

    Only trainable tensors are saved: a frozen base is never copied into a checkpoint, and tied
    weights are written once.
    """

    model: GistLM
    loss_is_scaled_for_ga = True

    def __init__(self, model: GistLM, args: TrainingArguments, batches: Batches) -> None:
        """Set up the loop; `batches` carries the curriculum."""
        self.curriculum = batches.curriculum
        self.batches = batches
        super().__init__(
            model=model,
            args=args,
            train_dataset=batches,
            callbacks=[CurriculumCallback(batches), HistoryCallback()],
        )
        self.model_accepts_loss_kwargs = True  # ask for the number of label tokens in a step
        self.remove_callback(PrinterCallback)
        if args.disable_tqdm:
            self.remove_callback(ProgressCallback)

    def fit(self, *, resume: bool) -> None:
        """Train, or go on from the newest whole checkpoint; a finished run is only read back.

        Args:
            resume: Look for a checkpoint. Without one the run starts at its beginning.
        """
        last = newest_whole(Path(self.args.output_dir or ".")) if resume else None
        if last is not None and steps_done(last) >= self.args.max_steps:
            restore_trainable(self.model, last / WEIGHTS)
            return
        self.train(resume_from_checkpoint=None if last is None else str(last))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches come ready-made, so there is nothing to sample or collate."""
        return DataLoader(self.batches, batch_size=None)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross-entropy per answer token over the whole optimiser step."""
        lm = cast(GistLM, model)
        mode, labels = inputs["mode"], inputs["labels"]
        if mode in ("text", "repeat"):
            logits = lm.answer(None, inputs["input_ids"], logits_to_keep=labels.shape[1])
        else:
            logits = self._answer(lm, inputs, compressed=mode == "gist")
            right = exactly_right(logits.detach(), labels).float().mean().item()
            self.curriculum.observe(mode, right)
        loss = answer_cross_entropy(logits, labels)
        loss = loss / (num_items_in_batch or (labels[:, 1:] != IGNORE).sum())
        if not torch.isfinite(loss):
            raise DivergedError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()} (mode {mode}, "
                f"documents of {inputs.get('document_ids', inputs['input_ids']).shape[1]} tokens); "
                "the last checkpoint is whole: lower training.learning_rate and --resume"
            )
        return (loss, logits) if return_outputs else loss

    def _answer(self, model: GistLM, inputs: dict[str, Any], *, compressed: bool) -> Tensor:
        """Logits of the answers, behind gists or behind the document itself."""
        rows = inputs["document_index"]
        mask = inputs["document_mask"]
        # Without padding the fast causal kernel needs no mask at all.
        given = None if bool(mask.all()) else mask
        if compressed:
            read = model.compress(inputs["document_ids"], given, gists=inputs.get("gists"))
        else:
            read = model.read(inputs["document_ids"], given)
        prefix = select(read, rows)
        return model.answer(
            prefix,
            inputs["input_ids"],
            inputs["attention_mask"],
            prefix_mask=None if compressed or given is None else mask[rows],
            logits_to_keep=inputs["labels"].shape[1],
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the curriculum's place to every log line."""
        logs["stage"] = self.curriculum.index
        logs.update({f"right_{k}": round(v, 4) for k, v in self.curriculum.accuracy.items()})
        super().log(logs, start_time)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        directory = Path(output_dir or self.args.output_dir or ".")
        weights = trainable(self.model)
        broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
        if broken:
            raise DivergedError(
                f"after step {self.state.global_step} {len(broken)} weights are not finite, first "
                f"{broken[0]}; no checkpoint was written, the last one is whole: lower "
                "training.learning_rate and --resume"
            )
        directory.mkdir(parents=True, exist_ok=True)
        save_file(weights, directory / WEIGHTS)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Go on at the configured learning rate: the checkpoint would bring its own run's."""
        super()._load_optimizer_and_scheduler(checkpoint)
        scheduler = self.lr_scheduler
        if checkpoint is None or not isinstance(scheduler, LambdaLR):
            return
        scheduler.base_lrs = [self.args.learning_rate for _ in scheduler.base_lrs]
        for group, share in zip(
            scheduler.optimizer.param_groups, scheduler.lr_lambdas, strict=True
        ):
            group["initial_lr"] = self.args.learning_rate
            group["lr"] = self.args.learning_rate * share(scheduler.last_epoch)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        restore_trainable(self.model, Path(resume_from_checkpoint) / WEIGHTS)


def trainable(model: torch.nn.Module) -> dict[str, Tensor]:
    """Collect every trainable tensor once (tied ones under their first name)."""
    return {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def restore_trainable(model: torch.nn.Module, path: Path) -> None:
    """Copy saved tensors back into the model's parameters."""
    parameters = dict(model.named_parameters())
    for name, tensor in load_file(path).items():
        parameters[name].copy_(tensor)


class CurriculumCallback(TrainerCallback, ExportableState):
    """Keeps the curriculum's place in Trainer's own state file, so that a resumed run continues."""

    def __init__(self, batches: Batches) -> None:
        """Watch the batches' curriculum."""
        self.batches = batches

    def state(self) -> dict[str, Any]:
        """Return what Trainer writes into `trainer_state.json`."""
        return {"args": {}, "attributes": {"curriculum": self.batches.curriculum.state()}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Continue at the batch and the stage where the checkpoint was taken."""
        saved = cast(dict[str, Any], state.stateful_callbacks).get("CurriculumCallback")
        if state.global_step and isinstance(saved, dict):
            self.batches.curriculum.restore(saved["attributes"]["curriculum"])
            self.batches.first = state.global_step * args.gradient_accumulation_steps


class HistoryCallback(TrainerCallback):
    """Appends every log line to `history.jsonl` in the output directory."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write one line."""
        path = Path(args.output_dir or ".") / "history.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")
