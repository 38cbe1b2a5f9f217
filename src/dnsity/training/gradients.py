"""The check before a run: every trainable parameter must get a gradient."""

from __future__ import annotations

from typing import cast

import torch

from dnsity.data.batch import Batch
from dnsity.errors import BadInputError
from dnsity.training.trainer import GistTrainer

_NAMED = 5


def require_gradients(trainer: GistTrainer, batch: Batch) -> None:
    """Run one batch forward and backward, and refuse parameters without a gradient.

    Otherwise they would silently stay untrained for hours: because of a wrong scope, a module that
    compression does not use, or a graph cut by `no_grad`. The gradient of LoRA's A is zero as long
    as B is zero, so it only has to exist.

    Args:
        trainer: Its model is checked. Weights, gradients and random state do not change.
        batch: A batch of mode `gist`.

    Raises:
        BadInputError: Naming the first few parameters.
    """
    model = cast(torch.nn.Module, trainer.model)
    with torch.random.fork_rng():
        model(batch.to(trainer.args.device)).loss.backward()
    idle = [
        name
        for name, parameter in trainer.lm.named_parameters()
        if parameter.requires_grad
        and (parameter.grad is None or not ("lora_A" in name or parameter.grad.any()))
    ]
    model.zero_grad()
    if idle:
        more = f" and {len(idle) - _NAMED} more" if len(idle) > _NAMED else ""
        raise BadInputError(
            f"no gradient reaches {', '.join(idle[:_NAMED])}{more}; leave the modules out of "
            "lora.target_modules or train another gist.scope"
        )
