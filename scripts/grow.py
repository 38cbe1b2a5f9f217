"""Make a gist model larger: `python scripts/grow.py MODEL TARGET [--after 2 3] [--still-beyond N]`.

    layers  0  1  2  3  4  5   ──▶   0  1  2  2'  3  3'  4  5       --after 2 3
    pairs   a  b  c  d         ──▶   a  .  b  .  c  .  d  .         --still-beyond 1024

A new layer is a copy of the one before it that hardly speaks (its outputs are a tenth). Heads
become twice as wide: the rotary pairs they have keep their frequencies, new ones (.) stand between
them, look for what is alike and speak softly; pairs that turn once in more than N tokens stand
still, see `dnsity.training.pretrain.Architecture`. The model then answers nearly as before and
trains on. Only for models that carry their own base (scope `full`).
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dnsity.errors import BadInputError
from dnsity.model import checkpoint
from dnsity.training.pretrain import rope

QUIET = 0.1
"""Share of what a copy writes; with zero, nothing but its outputs would get a gradient at first."""
SOFT = 0.3
"""Scale of new pairs among a head's; 0.15 to 0.6 do as well, 1 is worse (docs/log.md)."""


@torch.no_grad()
def deepen(base: PreTrainedModel, after: list[int], share: float = QUIET) -> None:
    """Put a quiet copy behind each of these layers."""
    layers, sources = [], []
    for number, layer in enumerate(base.model.layers):
        layers.append(layer)
        sources.append(number)
        if number in after:
            quiet = copy.deepcopy(layer)
            quiet.self_attn.o_proj.weight.mul_(share)
            quiet.mlp.down_proj.weight.mul_(share)
            layers.append(quiet)
            sources.append(number)
    for number, layer in enumerate(layers):
        layer.self_attn.layer_idx = number
    base.model.layers = torch.nn.ModuleList(layers)
    base.config.num_hidden_layers = len(layers)
    kinds = getattr(base.config, "layer_types", None)
    if kinds is not None:
        base.config.layer_types = [kinds[number] for number in sources]


@torch.no_grad()
def widen(base: PreTrainedModel, still_beyond: int | None) -> PreTrainedModel:
    """Return the same model with heads twice as wide.

    Raises:
        BadInputError: If queries and keys are not normalised, or positions are scaled already.
    """
    usual = base.config.rope_parameters.get("rope_type") == "default"
    if not usual or not hasattr(base.model.layers[0].self_attn, "q_norm"):
        raise BadInputError(
            f"heads of {base.config.model_type} with {base.config.rope_parameters} cannot be made "
            "wider; allowed are Qwen3 bases with plain rotary positions"
        )
    config = copy.deepcopy(base.config)
    width, config.head_dim = config.head_dim, 2 * config.head_dim
    config.rope_parameters = rope(config.rope_parameters["rope_theta"], still_beyond)
    # A pair is (i, i + width / 2); in the wide head (2 i, 2 i + width) has the same frequency.
    kept = torch.cat([torch.arange(0, width, 2), torch.arange(0, width, 2) + width])
    wide = type(base)(config)
    for old, new in zip(base.model.layers, wide.model.layers, strict=True):
        before, after = old.self_attn, new.self_attn
        alike = torch.randn(config.num_key_value_heads, width, config.hidden_size)
        groups = config.num_attention_heads // config.num_key_value_heads
        _rows(before.k_proj.weight, after.k_proj.weight, kept, alike)
        _rows(before.q_proj.weight, after.q_proj.weight, kept, alike.repeat_interleave(groups, 0))
        _rows(before.v_proj.weight, after.v_proj.weight, kept, torch.randn_like(alike))
        out = torch.randn(config.num_attention_heads, width, config.hidden_size)
        _rows(before.o_proj.weight.T, after.o_proj.weight.T, kept, QUIET * out)
        for name in ("q_norm", "k_norm"):
            scale, wider = getattr(before, name).weight, getattr(after, name).weight
            wider.fill_(SOFT * float(scale.abs().mean()))
            # Scores are divided by the root of the width, which has doubled.
            wider[kept] = scale * 2**0.25
    grown = wide.state_dict()
    same = {n: w for n, w in base.state_dict().items() if grown[n].shape == w.shape}
    wide.load_state_dict({**grown, **same})
    return wide.to(base.dtype)


def _rows(old: Tensor, new: Tensor, kept: Tensor, more: Tensor) -> None:
    """Fill a wide projection `[heads * 2 width, hidden]`: the old rows, and as loud `more`."""
    heads, width, hidden = more.shape
    narrow = old.reshape(heads, width, hidden)
    rest = torch.ones(2 * width, dtype=torch.bool)
    rest[kept] = False
    target = torch.empty(heads, 2 * width, hidden)
    target[:, kept] = narrow.float()
    target[:, rest] = more * narrow.float().square().mean(dim=(1, 2), keepdim=True).sqrt()
    new.copy_(target.reshape(new.shape))


def main() -> int:
    """Load, grow, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("target", type=Path)
    parser.add_argument("--after", type=int, nargs="+", default=[])
    parser.add_argument("--still-beyond", type=int)
    asked = parser.parse_args()
    torch.manual_seed(0)
    model, tokenizer, name = checkpoint.load(asked.model)
    deepen(model.base, asked.after)
    if asked.still_beyond is not None:
        model.base = widen(model.base, asked.still_beyond)
    card = checkpoint.read_card(asked.model)
    checkpoint.save(model, tokenizer, asked.target, base_name=name, card=card, dtype=torch.bfloat16)
    return 0


if __name__ == "__main__":
    sys.exit(main())
