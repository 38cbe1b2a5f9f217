r"""Compare recipes: one short training run, with one thing changed at a time.

    python experiments/compare.py --config experiments/configs/compare_recipes.yaml \
        --output-dir runs/compare --result results/compare_recipes.json

Every variant and seed is a `dnsity train` run of one thread, several side by side. Started again,
it goes on where it was; the result is written once all have finished.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.progress import track
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dnsity.cli.console import err, out
from dnsity.config import Config, load, manifest, write_json
from dnsity.training.runs import RESULT, read_result


class Variant(Config):
    """A run with something changed.

    Attributes:
        change: What, in the words of the table.
        settings: Overrides, as `dnsity train --set` takes them.
        seeds: Seeds to train with.
    """

    change: str
    settings: list[str] = Field(default=[])
    seeds: list[int] = Field(default=[0], min_length=1)


class Comparison(Config):
    """Variants of one training run.

    Attributes:
        run: Configuration of the run that they change.
        variants: By name; one changes nothing.
        jobs: Runs side by side, a thread each.
    """

    run: Path
    variants: dict[str, Variant] = Field(min_length=1)
    jobs: int = Field(default=2, ge=1)


def train(one: tuple[str, Variant, int], run: Path, output_dir: Path) -> dict[str, Any]:
    """Train one variant with one seed, unless that is done; return what it measured."""
    name, variant, seed = one
    directory = output_dir / f"{name}-{seed}"
    if not (directory / RESULT).exists():
        begun = any(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))
        directory.mkdir(parents=True, exist_ok=True)
        settings = [*variant.settings, f"training.seed={seed}"]
        with (directory / "log.txt").open("a") as log:
            subprocess.run(
                [
                    *(sys.executable, "-m", "dnsity", "train", "--config", str(run)),
                    *("--output-dir", str(directory)),
                    *(f"--set={setting}" for setting in settings),
                    *(["--resume"] if begun else []),
                ],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                check=True,
            )
    found = read_result(directory)
    return {"variant": name, "change": variant.change, "seed": seed, **found}


def compare(config: Comparison, output_dir: Path) -> list[dict[str, Any]]:
    """Train all variants, the first seeds first.

    Raises:
        subprocess.CalledProcessError: If a run fails; its log.txt says why.
    """
    runs = [(n, v, seed) for n, v in config.variants.items() for seed in v.seeds]
    runs.sort(key=lambda run: run[1].seeds.index(run[2]))
    with ThreadPoolExecutor(config.jobs) as pool:
        found = pool.map(partial(train, run=config.run, output_dir=output_dir), runs)
        return list(track(found, "comparing", total=len(runs), console=err))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="the comparison")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/compare"))
    parser.add_argument("--result", type=Path, help="where all figures go")
    given = parser.parse_args()
    config = load(given.config, Comparison)
    described = manifest(config, seed=0)  # of the code that ran, not of what came after
    runs = compare(config, given.output_dir)
    for run in runs:
        scores = {k: v for k, v in run["probe"].items() if isinstance(v, float)}
        shares = "  ".join(f"{way} {score:.0%}" for way, score in scores.items())
        out.print(f"{run['variant']}, seed {run['seed']}: {shares}")
    if given.result:
        write_json(given.result, {"compared": runs, "manifest": described})
