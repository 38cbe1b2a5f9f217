"""Train the bundled model from scratch: `python recipes/mini/run.py --output-dir runs/mini`.

Reads `recipe.yaml` and runs its stages in order, each as one command. A stage whose result exists
is skipped, a stage that was interrupted resumes. Run it from the root of the project.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, Union

import yaml
from pydantic import Field, model_validator
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from dnsity.config import Config, load
from dnsity.errors import BadInputError
from dnsity.training.pretrain import PretrainConfig
from dnsity.training.settings import Settings
from dnsity.training.train_gist import TrainConfig

HERE = Path(__file__).resolve().parent
RECIPE = HERE / "recipe.yaml"


class Shared(Config):
    """Settings of every training stage; a stage may replace single values."""

    gist: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]


class Train(Config):
    """Train gists, or pretrain the base if there is no model to start from.

    Attributes:
        name: Names the stage and its directory.
        start: Stage whose model it starts from (YAML: `from`); None: pretraining.
        architecture: Shape of the new base; only for pretraining.
        data: Training documents, in addition to the shared settings.
        stages: The curriculum.
        training: The optimiser, in addition to the shared settings.
        stop_at: Step at which the run ends, with the learning rates of the full schedule.
        planned: Runs only if `--only` names it.
    """

    name: str
    start: str | None = Field(default=None, alias="from")
    architecture: dict[str, Any] | None = None
    data: dict[str, Any]
    stages: list[dict[str, Any]]
    training: dict[str, Any]
    stop_at: int | None = None
    planned: bool = False


class Grow(Config):
    """Make a model larger, see grow.py."""

    name: str
    grow: str
    after: list[int] = Field(default=[])
    still_beyond: int | None = None


class Average(Config):
    """Average the weights of several stages, see average.py."""

    name: str
    average: list[str]


class Bundle(Config):
    """Add the model card and check the size, see bundle.py."""

    name: Literal["bundle"]
    bundle: str


Step = Union[Train, Grow, Average, Bundle]  # noqa: UP007 - evaluated by pydantic


class Recipe(Config):
    """The whole recipe."""

    shared: Shared
    stages: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_earlier_stages(self) -> Recipe:
        known: set[str] = set()
        for step in self.stages:
            if missing := set(sources(step)) - known:
                raise ValueError(f"stage {step.name} starts from unknown stages {sorted(missing)}")
            if step.name in known:
                raise ValueError(f"two stages have the name {step.name}")
            known.add(step.name)
        return self


def sources(step: Step) -> list[str]:
    """Return the stages whose models a stage needs."""
    if isinstance(step, Train):
        return [] if step.start is None else [step.start]
    if isinstance(step, Average):
        return step.average
    return [step.grow if isinstance(step, Grow) else step.bundle]


def expand(recipe: Recipe, stage: Train, base: str) -> dict[str, Any]:
    """Return the complete configuration of a training stage."""
    shared = recipe.shared.model_dump()
    own = {"data": stage.data, "stages": stage.stages, "training": stage.training}
    if stage.start is None:
        del shared["gist"]
        return {"architecture": stage.architecture, **_merged(shared, own)}
    return {"base": base, **_merged(shared, own)}


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively; every other value is replaced."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        result[key] = _merged(below[key], value) if both else value
    return result


def shortened(training: dict[str, Any], stop: int) -> dict[str, Any]:
    """Return optimiser settings that take the first `stop` steps of a longer run.

    The learning rate is constant after the warm-up, then decays linearly, so the first part of the
    schedule is a schedule of the same form: fewer decay steps, to a higher final rate. Only the
    warm-up differs, because it starts at the final rate.
    """
    full = Settings.model_validate(training)
    decay = int(full.steps * full.decay_share)
    taken = max(0, stop - (full.steps - decay))
    final = 1 - (1 - full.final_rate_share) * taken / decay if decay else 1.0
    # Half a step more: the number of decay steps is rounded down.
    share = (taken + 0.5) / stop if taken else 0.0
    return {**training, "steps": stop, "decay_share": share, "final_rate_share": final}


def model_of(step: Step, output_dir: Path) -> Path:
    """Return where a stage writes its model."""
    trained = isinstance(step, Train) and step.start is not None
    return output_dir / step.name / "model" if trained else output_dir / step.name


def is_done(step: Step, output_dir: Path) -> bool:
    """Return whether a stage is complete: the file that it writes last exists."""
    if isinstance(step, Bundle):
        return False
    pretrained = isinstance(step, Train) and step.start is None
    last = "model.safetensors" if pretrained else "gist_config.json"
    return (model_of(step, output_dir) / last).exists()


def command(recipe: Recipe, step: Step, output_dir: Path) -> list[str]:
    """Return the command of a stage."""
    at = {one.name: str(model_of(one, output_dir)) for one in recipe.stages}
    if isinstance(step, Train):
        directory = output_dir / step.name
        resumes = any(directory.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))
        return [
            *(sys.executable, "-m", "dnsity", "pretrain" if step.start is None else "train"),
            *("--config", str(output_dir / f"{step.name}.yaml"), "--output-dir", str(directory)),
            *(["--resume"] if resumes else []),
        ]
    script = [sys.executable, str(HERE / f"{type(step).__name__.lower()}.py")]
    if isinstance(step, Grow):
        still = [] if step.still_beyond is None else ["--still-beyond", str(step.still_beyond)]
        after = ["--after", *map(str, step.after)] if step.after else []
        return [*script, at[step.grow], at[step.name], *after, *still]
    if isinstance(step, Average):
        return [*script, at[step.name], *(at[name] for name in step.average)]
    return [*script, at[step.bundle], "--target", at[step.name]]


def configuration(recipe: Recipe, stage: Train, output_dir: Path) -> dict[str, Any]:
    """Return the configuration that a stage runs with, checked.

    Raises:
        BadInputError: If it is not valid.
    """
    steps = {one.name: one for one in recipe.stages}
    base = "" if stage.start is None else str(model_of(steps[stage.start], output_dir))
    values = expand(recipe, stage, base)
    if stage.stop_at is not None:
        values["training"] = shortened(values["training"], stage.stop_at)
    model = PretrainConfig if stage.start is None else TrainConfig
    model.model_validate(values)
    return values


def chosen(recipe: Recipe, only: str | None, first: str | None) -> list[Step]:
    """Return the stages to run.

    Raises:
        BadInputError: If no stage has the name.
    """
    names = [step.name for step in recipe.stages]
    for name in (only, first):
        if name is not None and name not in names:
            raise BadInputError(f"unknown stage {name!r}, allowed are {', '.join(names)}")
    if only is not None:
        return [recipe.stages[names.index(only)]]
    rest = recipe.stages[names.index(first) if first else 0 :]
    return [step for step in rest if not (isinstance(step, Train) and step.planned)]


def run(recipe: Recipe, steps: list[Step], output_dir: Path, *, dry_run: bool) -> None:
    """Run stages in order; skip those that are complete.

    Raises:
        subprocess.CalledProcessError: If a stage fails.
    """
    for step in steps:
        if is_done(step, output_dir):
            sys.stdout.write(f"{step.name}: complete\n")
            continue
        words = command(recipe, step, output_dir)
        sys.stdout.write(f"{step.name}: {shlex.join(words)}\n")
        sys.stdout.flush()
        values = configuration(recipe, step, output_dir) if isinstance(step, Train) else None
        if dry_run:
            continue
        output_dir.mkdir(parents=True, exist_ok=True)
        if values is not None:
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            (output_dir / f"{step.name}.yaml").write_text(text, encoding="utf-8")
        subprocess.run(words, check=True)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=Path("runs/mini"), help="directory")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", metavar="STAGE", help="run this stage only")
    which.add_argument("--from", dest="first", metavar="STAGE", help="run from this stage on")
    parser.add_argument("--dry-run", action="store_true", help="check and print the commands only")
    given = parser.parse_args()
    try:
        recipe = load(RECIPE, Recipe)
        steps = chosen(recipe, given.only, given.first)
        run(recipe, steps, given.output_dir, dry_run=given.dry_run)
    except BadInputError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: a stage failed; run the same command to resume: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
