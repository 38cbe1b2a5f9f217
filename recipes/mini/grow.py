"""Make a gist model larger: `python recipes/mini/grow.py MODEL TARGET [--after 2 3] ...`.

    layers  0  1  2  3  4  5   ──▶   0  1  2  2'  3  3'  4  5       --after 2 3
    pairs   a  b  c  d         ──▶   a  .  b  .  c  .  d  .         --still-beyond 1024

`--after` adds layers: a copy of each named layer follows it, with its output scaled to a tenth.
`--still-beyond` doubles the width of heads: existing rotary pairs keep their frequencies, new pairs
(.) are inserted between them, compare content and start with a small scale. Pairs whose wavelength
exceeds N tokens no longer rotate, and those above a quarter of it rotate more slowly, so they
compare content alike at every distance (p-RoPE, Barbero et al. 2024, 2410.06205). The larger model
answers almost as before and is trained further. Only for models with scope `full`.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dnsity.errors import BadInputError
from dnsity.model import checkpoint

COPY_SCALE = 0.1
"""Output scale of a copied layer; with zero, only its output projections would get a gradient."""
NEW_PAIR_SCALE = 0.3
"""Scale of the new pairs of a head; 0.15 to 0.6 score the same, 1 is worse (docs/log.md)."""


@torch.no_grad()
def deepen(base: PreTrainedModel, after: list[int], scale: float = COPY_SCALE) -> None:
    """Insert a copy with scaled outputs after each of these layers."""
    layers, sources = [], []
    for number, layer in enumerate(base.model.layers):
        layers.append(layer)
        sources.append(number)
        if number in after:
            added = copy.deepcopy(layer)
            added.self_attn.o_proj.weight.mul_(scale)
            added.mlp.down_proj.weight.mul_(scale)
            layers.append(added)
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
    """Return the same model with heads twice as wide; see `rope` for `still_beyond`.

    Raises:
        BadInputError: If queries and keys are not normalised, or positions are scaled already.
    """
    usual = base.config.rope_parameters.get("rope_type") == "default"
    if not usual or not hasattr(base.model.layers[0].self_attn, "q_norm"):
        raise BadInputError(
            f"heads of {base.config.model_type} with {base.config.rope_parameters} cannot be "
            "widened; allowed are Qwen3 bases with plain rotary positions"
        )
    config = copy.deepcopy(base.config)
    width, config.head_dim = config.head_dim, 2 * config.head_dim
    config.rope_parameters = rope(config.rope_parameters["rope_theta"], still_beyond)
    # A pair is (i, i + width / 2); in the wide head (2 i, 2 i + width) has the same frequency.
    kept = torch.cat([torch.arange(0, width, 2), torch.arange(0, width, 2) + width])
    wide = type(base)(config)
    for old, new in zip(base.model.layers, wide.model.layers, strict=True):
        before, after = old.self_attn, new.self_attn
        shared = torch.randn(config.num_key_value_heads, width, config.hidden_size)
        groups = config.num_attention_heads // config.num_key_value_heads
        _rows(before.k_proj.weight, after.k_proj.weight, kept, shared)
        _rows(before.q_proj.weight, after.q_proj.weight, kept, shared.repeat_interleave(groups, 0))
        _rows(before.v_proj.weight, after.v_proj.weight, kept, torch.randn_like(shared))
        out = torch.randn(config.num_attention_heads, width, config.hidden_size)
        _rows(before.o_proj.weight.T, after.o_proj.weight.T, kept, COPY_SCALE * out)
        for name in ("q_norm", "k_norm"):
            old_scale, wider = getattr(before, name).weight, getattr(after, name).weight
            wider.fill_(NEW_PAIR_SCALE * float(old_scale.abs().mean()))
            # Scores are divided by the root of the width, which has doubled.
            wider[kept] = old_scale * 2**0.25
    grown = wide.state_dict()
    same = {n: w for n, w in base.state_dict().items() if grown[n].shape == w.shape}
    wide.load_state_dict({**grown, **same})
    return wide.to(base.dtype)


def rope(base: float, still_beyond: int | None) -> dict[str, Any]:
    """Return rotary settings for transformers.

    Llama 3's scaling slows pairs with a wavelength above `still_beyond`; the factor is so large
    that they do not rotate.
    """
    if still_beyond is None:
        return {"rope_type": "default", "rope_theta": base}
    return {
        "rope_type": "llama3",
        "rope_theta": base,
        "factor": 1e6,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": still_beyond,
    }


def _rows(old: Tensor, new: Tensor, kept: Tensor, more: Tensor) -> None:
    """Fill a projection `[heads * 2 width, hidden]`: old rows, and `more` at the same scale."""
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
    parser.add_argument("model", help="directory of a gist model")
    parser.add_argument("target", type=Path, help="directory to write")
    parser.add_argument("--after", type=int, nargs="+", default=[], help="numbers of layers")
    parser.add_argument("--still-beyond", type=int, metavar="N", help="wavelength in tokens")
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
