"""Hugging Face's Trainer for `ModelWithLoss`.

Batches ──▶ DataLoader ──▶ GistTrainer.compute_loss ──▶ ModelWithLoss ──▶ loss
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer as HuggingFaceTrainer
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dnsity.data.batch import Batch
from dnsity.errors import BadInputError, DivergedError
from dnsity.model.gist_lm import GistLM
from dnsity.training.batches import Batches
from dnsity.training.callbacks import Bar, Metrics, RunState
from dnsity.training.model_with_loss import BatchLoss, ModelWithLoss
from dnsity.training.probe import Probe
from dnsity.training.resume import newest_complete, steps_done

WEIGHTS = "trainable.safetensors"


class GistTrainer(HuggingFaceTrainer):
    """Trains `ModelWithLoss` on batches of several modes.

    Only trainable tensors are saved: checkpoints contain no frozen base, and tied weights once.

    Args:
        model: The model with its objective.
        args: See `settings.training_arguments`.
        batches: The source of steps; contains the curriculum.
        probe: Held-out questions that are asked during training.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: ModelWithLoss,
        args: TrainingArguments,
        batches: Batches,
        probe: Probe | None = None,
    ) -> None:
        """Set up the training loop."""
        self.probe = probe
        self.batches = batches
        self.run = RunState(batches)
        super().__init__(
            model=model,
            args=args,
            train_dataset=batches,
            callbacks=[self.run, *([] if probe is None else [probe]), Metrics()],
        )
        self.run.reduce = self.accelerator.reduce
        batches.process, batches.processes = args.process_index, args.world_size
        self.model_accepts_loss_kwargs = True  # so that the step's label tokens are counted
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.bar = Bar()
        self.add_callback(self.bar)

    @property
    def lm(self) -> GistLM:
        """The model that is trained, without the wrappers for several devices."""
        return cast(ModelWithLoss, self.accelerator.unwrap_model(self.model)).lm

    def fit(self, *, resume: bool) -> None:
        """Train, or resume from the newest complete checkpoint; a finished run is only loaded.

        Args:
            resume: Look for a checkpoint. Without one the run starts from the beginning.

        Raises:
            BadInputError: If sharded processes could skip passes, or there is no room to save.
            DivergedError: If loss or weights are not finite.
        """
        cache = cast(ModelWithLoss, self.model).objective.teacher_cache
        if self.is_fsdp_enabled and cache is not None:
            raise BadInputError(
                "objective.teacher_cache lets processes skip passes that sharded (FSDP) ones must "
                "all run; leave it out"
            )
        last = newest_complete(self._directory) if resume else None
        if last is not None and steps_done(last) >= self.args.max_steps:
            restore_trainable(self.lm, last / WEIGHTS)
            self.run.read(last)
            return
        try:
            self.train(resume_from_checkpoint=None if last is None else str(last))
        finally:
            self.bar.close()  # so that an error is printed below it

    def unsharded(self, build: Callable[[], GistLM]) -> GistLM:
        """Return the trained model with unsharded weights.

        Args:
            build: Builds the untrained model, to load the last checkpoint into. Only called where
                the trained model's weights are sharded over devices.
        """
        if not self.lm.is_sharded:
            return self.lm
        last = newest_complete(self._directory)
        assert last is not None  # a run ends with a checkpoint
        fresh = build()
        restore_trainable(fresh, last / WEIGHTS)
        return fresh

    @property
    def _directory(self) -> Path:
        return Path(self.args.output_dir or ".")

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches, which are sampled, collated and split over processes already."""
        return DataLoader(self.batches, batch_size=None, collate_fn=_as_mapping)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return this micro-batch's part of the mean loss per answer token of the whole step."""
        batch: Batch = inputs["batch"].to(self.args.device)
        found: BatchLoss = model(batch)
        tokens = num_items_in_batch or (batch.labels[:, 1:] >= 0).sum()
        # Gradients are averaged over processes; the loss is a mean over the tokens of all of them.
        loss = found.loss / tokens * self.args.world_size
        if not torch.isfinite(loss):
            sources = getattr(batch, "sources", ())
            named = f" from {', '.join(sources[:4])}" if sources else ""
            raise DivergedError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()} (mode "
                f"{batch.mode}, documents of {batch.longest} tokens{named}); the last checkpoint "
                "is complete: lower training.learning_rate and --resume"
            )
        self.run.count(batch, found.right)
        return (loss, found) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add stage, accuracies, speed and the scores of a probe to every log line."""
        scores = {} if self.probe is None else self.probe.new_scores()
        super().log({**logs, **self.run.describe(), **scores}, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save, or name the last complete checkpoint if that fails (no space, no permission)."""
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors hide it
            partial = self._directory / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            shutil.rmtree(partial, ignore_errors=True)
            last = newest_complete(self._directory)
            left = "no earlier one exists" if last is None else f"{last} is complete"
            raise BadInputError(
                f"cannot write checkpoint {partial} ({error}); {left}: make room and --resume"
            ) from error

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        weights = trainable(self.lm)
        broken = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
        if broken:
            raise DivergedError(
                f"after step {self.state.global_step} {len(broken)} weights are not finite, first "
                f"{broken[0]}; no checkpoint was written, the last one is complete: lower "
                "training.learning_rate and --resume"
            )
        if self.args.should_save:
            directory = Path(output_dir or self._directory)
            directory.mkdir(parents=True, exist_ok=True)
            save_file(weights, directory / WEIGHTS)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Resume with the configured learning rate; the checkpoint contains its own run's."""
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
        restore_trainable(self.lm, Path(resume_from_checkpoint) / WEIGHTS)


def _as_mapping(batch: Any) -> dict[str, Any]:
    """Wrap a `Batch` for Trainer, which takes mappings and counts the labels in them."""
    return {"batch": batch, "labels": batch.labels}


def trainable(model: torch.nn.Module) -> dict[str, Tensor]:
    """Collect every trainable tensor once, unsharded; a tied one under its first name.

    Where weights are sharded over devices, every process must call this.
    """
    return {
        name: (weight.full_tensor() if isinstance(weight, DTensor) else weight)
        .detach()
        .contiguous()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


@torch.no_grad()
def restore_trainable(model: torch.nn.Module, path: Path) -> None:
    """Copy saved tensors back into the model's parameters."""
    parameters = dict(model.named_parameters())
    for name, tensor in load_file(path).items():
        weight = parameters[name]
        if isinstance(weight, DTensor):
            tensor = distribute_tensor(tensor, weight.device_mesh, weight.placements)
        weight.copy_(tensor)
