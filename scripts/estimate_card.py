"""Estimate the configurations for one card of 24 GB: writes results/estimate_24gb.json.

The estimate uses shapes only (`dnsity train --dry-run --gpu-teraflops`); nothing runs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dnsity.bench.shapes import SHAPES
from dnsity.config import Config, load
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest
from dnsity.training.estimate import estimate
from dnsity.training.train_gist import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = {"qwen3_4b_24gb": "qwen3-4b", "llama31_8b_24gb": "llama-3.1-8b"}
"""Configurations in `experiments/configs` and the shapes of their bases."""


class Card(Config):
    """The card: bfloat16, dense, float32 accumulation, from the data sheet of an RTX 4090."""

    teraflops: float = 165.0


def main() -> None:
    """Write the estimates of both configurations."""
    card, rows = Card(), []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in CONFIGS.items():
            SHAPES[shape]().save_pretrained(folder)
            file = ROOT / "experiments" / "configs" / f"{name}.yaml"
            found = estimate(load(file, TrainConfig, [f"base={folder}"]), card.teraflops)
            rows.append({"config": file.name, "shape": shape, **found.to_json()})
    result = {"manifest": manifest(card, seed=0), "estimates": rows}
    write_json(ROOT / "results" / "estimate_24gb.json", result)


if __name__ == "__main__":
    main()
