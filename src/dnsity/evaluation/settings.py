"""The configuration of an evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from dnsity.config import Config
from dnsity.errors import BadInputError
from dnsity.evaluation.method import MethodSettings
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.tasks import AnyFamily
from dnsity.inference.hardware import Dtype

DEFAULT_METHODS = [name for name, method in METHODS.items() if method.by_default]
"""All but those that need a further model, a short document, or minutes."""


class EvalConfig(Config):
    """One evaluation run: every model on every task by every method.

    Attributes:
        models: Gist models: `mini`, directories or hub ids.
        bases: Base models without gists, for the methods that need none.
        tasks: What is asked, see `evaluation.tasks`.
        only: Of these tasks just those with such names, or names that begin so (empty: all).
        methods: What is compared.
        method: What methods leave to the user.
        dtype: In what models compute.
        limit: Documents per task, at most.
        seed: Of everything that is drawn.
    """

    models: list[str] = Field(default=["mini"])
    bases: list[str] = Field(default=[])
    tasks: list[Annotated[AnyFamily, Field(discriminator="family")]] = Field(min_length=1)
    only: list[str] = Field(default=[])
    methods: list[str] = Field(default=DEFAULT_METHODS, min_length=1)
    method: MethodSettings = MethodSettings()
    dtype: Dtype = "float32"
    limit: int = Field(default=100, ge=1)
    seed: int = 0

    @field_validator("methods")
    @classmethod
    def _exist(cls, methods: list[str]) -> list[str]:
        unknown = [name for name in methods if name not in METHODS]
        if unknown:
            raise ValueError(f"no method {unknown[0]!r}; known are {', '.join(METHODS)}")
        return list(dict.fromkeys(methods))

    @model_validator(mode="after")
    def _has_a_model(self) -> EvalConfig:
        if not self.models and not self.bases:
            raise ValueError("nothing to evaluate: name a model in `models` or in `bases`")
        return self

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


def _alike(family: str, wanted: str) -> bool:
    """Say whether a family may have such a task: its tasks' names begin with its own."""
    return family.startswith(wanted) or wanted.startswith(family)
