"""Average the weights of gist models: `python recipes/mini/average.py TARGET MODEL MODEL ...`.

The mean of the weights of consecutive stages has a lower loss than the last of them (weight
averaging, Izmailov et al. 2018; docs/log.md, 2026-11-27). Only for models of one shape with scope
`full`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from dnsity.errors import BadInputError
from dnsity.model import checkpoint
from dnsity.model.gist_lm import GistLM


@torch.no_grad()
def average(models: list[GistLM]) -> GistLM:
    """Write the mean of all weights into the first model and return it.

    Raises:
        BadInputError: If their tensors or gist settings differ.
    """
    states = [model.state_dict() for model in models]
    kinds = [
        (model.spec, {name: weight.shape for name, weight in state.items()})
        for model, state in zip(models, states, strict=True)
    ]
    for number, kind in enumerate(kinds, start=1):
        if kind != kinds[0]:
            raise BadInputError(
                f"model {number} has other weights or gist settings than the first; allowed are "
                "stages of one model"
            )
    # All means before any write: tied weights have two names.
    means = {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}
    models[0].load_state_dict(means)
    return models[0]


def main() -> int:
    """Load, average, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="directory to write")
    parser.add_argument("models", nargs="+", help="directories of gist models")
    asked = parser.parse_args()
    loaded = [checkpoint.load(name) for name in asked.models]
    _, tokenizer, name = loaded[0]
    model = average([model for model, _, _ in loaded])
    card = checkpoint.read_card(asked.models[0])
    checkpoint.save(model, tokenizer, asked.target, base_name=name, card=card, dtype=torch.bfloat16)
    return 0


if __name__ == "__main__":
    sys.exit(main())
