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
"""All but those that need a further model, a short document, or minutes."""


class Subject(NamedTuple):
    """What is evaluated: a gist model, or a base in a frame.

    Attributes:
        name: As configured.
        frame: Of a base; None: a gist model, which has its own.
        label: The model's name in records and tables.
    """

    name: str
    frame: FrameName | None
    label: str


class EvalConfig(Config):
    """One evaluation run: every model on every task by every method.

    Attributes:
        models: Gist models: `mini`, directories or hub ids.
        bases: Base models without gists, for the methods that need none.
        frames: Every base is evaluated in each; with several, the model's name says which.
        system: System prompt of bases in the chat frame.
        instruction: Text between document and question, of bases in the chat frame.
        tasks: What is asked, see `evaluation.tasks`.
        only: Of these tasks just those with such names, or names that begin so (empty: all).
        methods: What is compared: names, or names with settings such as `select:ratio=2` and
            `refine:minutes=1,gists=25`, which override those of `method`.
        method: Settings of the methods, by name.
        dtype: In what models compute.
        limit: Documents per task, at most.
        seed: Of everything that is drawn.
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
        """Return what is evaluated, in this order.

        Raises:
            BadInputError: If two models cannot be told apart by name.
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
                "it has gists, else in `bases`"
            )
        return found

    def families(self) -> list[AnyFamily]:
        """Return those families that may hold a wanted task.

        Raises:
            BadInputError: If a wanted name fits none.
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
        """Say whether a task is among those wanted."""
        return not self.only or any(task.startswith(wanted) for wanted in self.only)


def short_names(names: Sequence[str]) -> list[str]:
    """Return what models are called in records: directories and files by the ends of their paths.

    One part, unless that is `model` (as `dnsity train` calls its directory) or another model's
    name too. Where a directory lies on this machine does not belong into committed results.
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
    """Say whether a family may have such a task: its tasks' names begin with its own."""
    return family.startswith(wanted) or wanted.startswith(family)
