"""Give a gist model more layers: `python scripts/deepen.py MODEL TARGET --after 2 3`.

    0  1  2  3  4  5     ──▶     0  1  2  2'  3  3'  4  5

A new layer starts as a copy of the one before it that hardly speaks (its outputs are a tenth), so
the model answers as before and trains on. What gists cannot carry for want of a layer (a question
sees what they gathered only in the layers behind) then need not be learned anew. Only for models
that carry their own base (scope `full`).
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from transformers import PreTrainedModel

from dnsity.model import checkpoint

SHARE = 0.1
"""Not zero, or nothing but the outputs would get a gradient at first."""


@torch.no_grad()
def deepen(base: PreTrainedModel, after: list[int], share: float = SHARE) -> None:
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


def main() -> int:
    """Load, deepen, save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("target", type=Path)
    parser.add_argument("--after", type=int, nargs="+", required=True)
    asked = parser.parse_args()
    model, tokenizer, name = checkpoint.load(asked.model)
    deepen(model.base, asked.after)
    card = checkpoint.read_card(asked.model)
    checkpoint.save(model, tokenizer, asked.target, base_name=name, card=card, dtype=torch.bfloat16)
    return 0


if __name__ == "__main__":
    sys.exit(main())
