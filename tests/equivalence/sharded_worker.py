"""One of two processes that share a model's weights (FSDP2); started by `test_sharded.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from asked import EXAMPLES, asked_batch, small_lm
from dnsity.model import backbone
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.trainer import restore_trainable, trainable
from support import assert_same, assert_same_gradients, gradients_of

MODES = ("gist", "full")


def _sharded(checkpointing: bool) -> ModelWithLoss:
    model = ModelWithLoss(small_lm("qwen3-tied")).train()
    if checkpointing:
        model.lm.enable_checkpointing()
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in backbone.body(model.lm.base).layers:  # type: ignore[union-attr]
        fully_shard(layer, mesh=mesh)  # type: ignore[arg-type]
    fully_shard(model, mesh=mesh)
    assert model.lm.is_sharded
    return model


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank, processes = dist.get_rank(), dist.get_world_size()
    for checkpointing in (False, True):
        for mode in MODES:
            whole = ModelWithLoss(small_lm("qwen3-tied")).train()
            losses = [whole(asked_batch([e], mode=mode)).loss for e in EXAMPLES[:processes]]
            (sum(losses) / processes).backward()  # type: ignore[union-attr]
            sharded = _sharded(checkpointing)
            found = sharded(asked_batch([EXAMPLES[rank]], mode=mode))
            assert_same(found.loss.detach(), losses[rank].detach(), "loss")
            found.loss.backward()
            gathered = {n: g.full_tensor() for n, g in gradients_of(sharded).items()}  # type: ignore[operator]
            assert_same_gradients(gathered, gradients_of(whole))
    # Saved weights are whole, and come back into their shards.
    weights = trainable(sharded.lm)
    path = folder / f"{rank}.safetensors"
    save_file(weights, path)
    other = _sharded(False)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    restore_trainable(other.lm, path)
    assert all(torch.equal(t, weights[n]) for n, t in trainable(other.lm).items())
    assert load_file(path)["gist_rows"].shape == whole.lm.gist_rows.shape
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
