"""The check before a run: does everything that is to be trained learn from an answer?"""

from __future__ import annotations

from typing import Any, cast

import torch

from dnsity.errors import BadInputError
from dnsity.training.trainer import GistTrainer

_NAMED = 5


def require_gradients(trainer: GistTrainer, batch: dict[str, Any]) -> None:
    """Send one batch forward and back and refuse parameters that nothing reaches.

    A parameter without a gradient would stay as it is for hours without an error: a wrong scope, a
    module that the compress pass does not use, a graph cut by `no_grad`. LoRA's A has the gradient
    zero until B has left zero, so of it only the existence of one is asked.

    Args:
        trainer: Its model is checked; weights, gradients and random state are left as they were.
        batch: A batch of mode `gist`.

    Raises:
        BadInputError: Naming the first few parameters.
    """
    model = cast(torch.nn.Module, trainer.model)
    with torch.random.fork_rng():
        model(trainer._prepare_inputs(batch))["loss"].backward()
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
