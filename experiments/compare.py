r"""Compare variants of a run, one thing changed at a time: recipes, or settings of a method.

    python experiments/compare.py --config experiments/comparisons/recipes.yaml \
        --output-dir runs/compare --result results/compare_recipes.json

Every variant and seed is a `dnsity train` or `dnsity eval` run of one thread; several run in
parallel. The same command resumes an interrupted comparison; the result is written at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field
from rich.progress import track
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dnsity.cli.console import err, out
from dnsity.config import Config, load
from dnsity.evaluation import record
from dnsity.evaluation.runner import RECORDS, SUMMARY
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest
from dnsity.training.finished_runs import RESULT, read_result


class Command(NamedTuple):
    """The seed setting of a command, the file that marks its end, and a reader of its figures."""

    seed: str
    result: str
    figures: Callable[[Path], dict[str, Any]]


def evaluated(directory: Path) -> dict[str, Any]:
    """Read an evaluation: scores, and notes of methods on single documents."""
    rows = json.loads((directory / SUMMARY).read_text("utf-8"))["rows"]
    records = [one for one in record.read(directory / RECORDS) if one.note]
    notes = [f"{one.task} {one.method} {one.item}: {one.note}" for one in records]
    return {"rows": rows, "notes": notes}


COMMANDS = {
    "train": Command("training.seed", RESULT, read_result),
    "eval": Command("seed", SUMMARY, evaluated),
}


class Variant(Config):
    """A run with one change.

    Attributes:
        change: Description of the change for the table.
        settings: Overrides in the form of `--set`.
        seeds: Seeds to run with.
    """

    change: str
    settings: list[str] = Field(default=[])
    seeds: list[int] = Field(default=[0], min_length=1)


class Comparison(Config):
    """Variants of one run.

    Attributes:
        command: The command that runs.
        run: Configuration that the variants change.
        variants: Variants by name; one changes nothing.
        jobs: Parallel runs, one thread each.
    """

    command: Literal["train", "eval"] = "train"
    run: Path
    variants: dict[str, Variant] = Field(min_length=1)
    jobs: int = Field(default=2, ge=1)


def run_one(
    one: tuple[str, Variant, int], comparison: Comparison, output_dir: Path
) -> dict[str, Any]:
    """Run one variant with one seed unless it is complete; return its figures."""
    name, variant, seed = one
    directory, command = output_dir / f"{name}-{seed}", COMMANDS[comparison.command]
    if not (directory / command.result).exists():
        begun = any(
            directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        )  # an evaluation resumes without it
        directory.mkdir(parents=True, exist_ok=True)
        settings = [*variant.settings, f"{command.seed}={seed}"]
        with (directory / "log.txt").open("a") as log:
            subprocess.run(
                [
                    *(sys.executable, "-m", "dnsity", comparison.command),
                    *("--config", str(comparison.run), "--output-dir", str(directory)),
                    *(f"--set={setting}" for setting in settings),
                    *(["--resume"] if begun else []),
                ],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                check=True,
            )
    told = {"variant": name, "change": variant.change, "seed": seed}
    return told | command.figures(directory)


def compare(config: Comparison, output_dir: Path) -> list[dict[str, Any]]:
    """Run all variants, the first seeds first.

    Raises:
        subprocess.CalledProcessError: If a run fails; its log.txt says why.
    """
    runs = [(n, v, seed) for n, v in config.variants.items() for seed in v.seeds]
    runs.sort(key=lambda run: run[1].seeds.index(run[2]))
    with ThreadPoolExecutor(config.jobs) as pool:
        found = pool.map(partial(run_one, comparison=config, output_dir=output_dir), runs)
        return list(track(found, "comparing", total=len(runs), console=err))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="the comparison")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/compare"))
    parser.add_argument("--result", type=Path, required=True, help="where all figures go")
    given = parser.parse_args()
    config = load(given.config, Comparison)
    described = manifest(config, seed=0)  # of the code that runs, not of later commits
    runs = compare(config, given.output_dir)
    write_json(given.result, {"compared": runs, "manifest": described})
    out.print(f"compared: {given.result}; `dnsity results` prints it")
