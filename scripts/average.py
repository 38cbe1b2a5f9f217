"""Take the mean of gist models' weights: `python scripts/average.py TARGET MODEL MODEL ...`.

Stages that went on from each other lie around a better place than each of them: their mean has a
lower loss than the last (weight averaging, Izmailov et al. 2018; docs/log.md, 2026-11-27). Only for
models of one shape that carry their own base (scope `full`).
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
    """Give the first model the mean of all weights and return it.

    Raises:
        BadInputError: If their tensors or gist settings differ.
    """
    first, *others = models
    shapes = [{name: w.shape for name, w in model.state_dict().items()} for model in models]
    for number, (other, shape) in enumerate(zip(others, shapes[1:], strict=True), start=2):
        if other.spec != first.spec or shape != shapes[0]:
            raise BadInputError(
                f"model {number} has other weights or gist settings than the first; allowed are "
                "stages of one model, each trained from another"
            )
    states = [model.state_dict() for model in models]
    # All before any is written: tied weights stand under two names.
    means = {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}
    first.load_state_dict(means)
    return first


def main() -> int:
    """Load, average, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("models", nargs="+")
    asked = parser.parse_args()
    loaded = [checkpoint.load(name) for name in asked.models]
    _, tokenizer, name = loaded[0]
    model = average([model for model, _, _ in loaded])
    card = checkpoint.read_card(asked.models[0])
    checkpoint.save(model, tokenizer, asked.target, base_name=name, card=card, dtype=torch.bfloat16)
    return 0


if __name__ == "__main__":
    sys.exit(main())
