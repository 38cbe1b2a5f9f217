"""The configuration of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, field_validator, model_validator

from dnsity.config import Config, Seed
from dnsity.errors import BadInputError
from dnsity.evaluation.method import MethodSettings
from dnsity.evaluation.methods import METHODS, canonical_names, check_settings
from dnsity.evaluation.tasks import AnyFamily
from dnsity.gist.spec import FrameName
from dnsity.inference.hardware import Dtype

DEFAULT_METHODS = [name for name, method in METHODS.items() if method.by_default]
"""All methods except those that need another model, a short document, or minutes."""


class Subject(NamedTuple):
    """A model to evaluate: a gist model, or a base model in a prompt format.

    Attributes:
        name: Name of the model in the configuration.
        frame: Prompt format of a base model; None for a gist model, which has its own.
        label: Name of the model in records and tables.
    """

    name: str
    frame: FrameName | None
    label: str


class EvalConfig(Config):
    """An evaluation run: every model and method on every task.

    Attributes:
        models: Gist models: `mini`, directories or hub ids.
        bases: Base models without trained gists, for the methods that support them.
        frames: Prompt formats; every base model is evaluated in each. With several, the label of a
            model includes the format.
        system: System prompt of base models in the chat format.
        instruction: Text between document and question, of base models in the chat format.
        tasks: Tasks, see `evaluation.tasks`.
        only: Names, or beginnings of names, of the tasks to run (empty: all).
        methods: Methods to compare: names, or names with settings such as `select:ratio=2` and
            `refine:minutes=1,gists=25`, which override those of `method`.
        method: Settings of the methods, by name.
        dtype: Compute type of the models.
        limit: Maximum number of documents per task.
        seed: Random seed of the tasks.
    """

    models: list[str] = Field(default=["mini"])
    bases: list[str] = Field(default=[])
    frames: list[FrameName] = Field(default=["auto"], min_length=1)
    system: str | None = None
    instruction: str | None = None
    tasks: list[Annotated[AnyFamily, Field(discriminator="family")]] = Field(min_length=1)
    only: list[str] = Field(default=[])
    methods: list[str] = Field(default=DEFAULT_METHODS, min_length=1)
    method: MethodSettings = MethodSettings()
    dtype: Dtype = "float32"
    limit: int = Field(default=100, ge=1)
    seed: Seed = 0

    @field_validator("methods")
    @classmethod
    def _exist(cls, methods: list[str]) -> list[str]:
        return canonical_names(methods)

    @model_validator(mode="after")
    def _has_a_model(self) -> EvalConfig:
        if not self.models and not self.bases:
            raise ValueError("nothing to evaluate: name a model in `models` or in `bases`")
        return self

    @model_validator(mode="after")
    def _methods_accept_settings(self) -> EvalConfig:
        for name in self.methods:
            check_settings(name, self.method)
        return self

    def subjects(self) -> list[Subject]:
        """Return the models to evaluate, in order.

        Raises:
            BadInputError: If two models have the same label.
        """
        names = dict.fromkeys([*self.models, *self.bases])
        labels = dict(zip(names, short_names(list(names)), strict=True))
        frames = list(dict.fromkeys(self.frames))
        found = [Subject(name, None, labels[name]) for name in dict.fromkeys(self.models)]
        for name in dict.fromkeys(self.bases):
            for frame in frames:
                label = f"{labels[name]} [{frame}]" if len(frames) > 1 else labels[name]
                found.append(Subject(name, frame, label))
        labelled = [subject.label for subject in found]
        doubled = [label for label in labelled if labelled.count(label) > 1]
        if doubled:
            raise BadInputError(
                f"two models of this run are called {doubled[0]}; list each once, in `models` if "
                "it has trained gists, else in `bases`"
            )
        return found

    def families(self) -> list[AnyFamily]:
        """Return the families that may have a selected task.

        Raises:
            BadInputError: If a selected name matches no family.
        """
        names = [family.name for family in self.tasks]
        for wanted in self.only:
            if not any(_alike(name, wanted) for name in names):
                raise BadInputError(f"no task {wanted!r}; this run has {', '.join(names)}")
        return [
            family
            for family in self.tasks
            if not self.only or any(_alike(family.name, wanted) for wanted in self.only)
        ]

    def wants(self, task: str) -> bool:
        """Return whether a task is selected."""
        return not self.only or any(task.startswith(wanted) for wanted in self.only)


def short_names(names: Sequence[str]) -> list[str]:
    """Return the names of models in records; a local model has the end of its path.

    The name is the last part of the path. More parts are added if it is `model` (the directory
    that `dnsity train` writes) or is not unique. Full paths do not belong in published results.
    """
    paths = [
        Path(os.path.abspath(name)).parts[1:] if Path(name).exists() else (name,) for name in names
    ]
    found = []
    for path in paths:
        count = 1
        while count < len(path):
            tails = [other[-count:] for other in paths]
            if path[-count:] != ("model",) and tails.count(path[-count:]) == 1:
                break
            count += 1
        found.append("/".join(path[-count:]))
    return found


def _alike(family: str, wanted: str) -> bool:
    """Return whether a family may have such a task; its name begins the names of its tasks."""
    return family.startswith(wanted) or wanted.startswith(family)
