"""YAML files and dotted overrides as typed, validated configuration."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from dnsity.errors import BadInputError

MOST = 2**53
"""Largest allowed number; integers up to it are exact as floats and in every JSON reader."""
_LEAST = 1e-12
"""Smallest allowed number above 0; smaller ones underflow, or overflow as divisors."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A random seed that every library accepts."""
Tokens = Annotated[int, Field(ge=1, le=2**24)]
"""The length of a document in tokens."""
Gists = Annotated[int, Field(ge=1, le=4096)]
"""The number of gists of a window."""
Digits = Annotated[int, Field(ge=1, le=100)]
"""The length of a number in digits."""
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
"""A relative sampling weight."""


class Config(BaseModel):
    """Base class of all configuration: immutable, and unknown keys are errors.

    Numbers are finite and within a range that does not overflow later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _is_in_range(cls, value: Any) -> Any:
        for number in _numbers(value):
            if abs(number) > MOST or 0 < abs(number) < _LEAST:
                raise ValueError(f"Number out of range, allowed are 0 and {_LEAST:g} to {MOST:,}")
        return value


def some_weight(weights: Mapping[str, float]) -> Mapping[str, float]:
    """Refuse weights that are all 0, since nothing can be sampled with them."""
    if not any(weights.values()):
        raise ValueError("all weights are 0; give one above 0")
    return weights


def _numbers(value: Any) -> Iterator[int | float]:
    """Yield a number, or the numbers in a list; mappings are not checked."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, int | float) and not isinstance(one, bool):
            yield one


_NO_YAML = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError)
"""ValueError: an impossible date, a number with too many digits, bytes that are not UTF-8. The last
three: a value that does not fit its explicit tag, such as `!!bool maybe`."""
ConfigT = TypeVar("ConfigT", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A loader that refuses duplicate keys; PyYAML silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubled = [key for key in keys if keys.count(key) > 1]
        if doubled:
            raise BadInputError(f"key {doubled[0]!r} occurs twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def load(path: Path, model: type[ConfigT], overrides: Sequence[str] = ()) -> ConfigT:
    """Read a YAML file into a configuration model.

    Args:
        path: The file.
        model: The model that it must match.
        overrides: Changes to the file of the form `a.b=value`; the value is parsed as YAML.

    Raises:
        BadInputError: If the file is missing, is not YAML, or does not match the model. The message
            names all wrong settings and overrides.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - safe
    except OSError as error:
        raise BadInputError(f"cannot read config {path}: {error.strerror}") from error
    except BadInputError:
        raise
    except _NO_YAML as error:
        raise BadInputError(f"{path} is not valid YAML in UTF-8: {error}") from error
    if not isinstance(values, dict):
        raise BadInputError(
            f"{path} must hold a mapping of settings, found {type(values).__name__}"
        )
    return configured(model, values, overrides, str(path))


def configured(
    model: type[ConfigT], values: dict[str, Any], overrides: Sequence[str], origin: str
) -> ConfigT:
    """Apply overrides to values and validate them; arguments and errors are those of `load`."""
    problems = []
    for override in overrides:
        try:
            _set(values, override)
        except BadInputError as error:
            problems.append(str(error))
    try:
        settings = validated(model, values, f"{origin} with --set" if overrides else origin)
    except BadInputError as error:
        problems.append(str(error))
    if problems:
        raise BadInputError("; ".join(problems))
    return settings


def validated(model: type[ConfigT], values: dict[str, Any], origin: str) -> ConfigT:
    """Validate values against a model; errors name their `origin`.

    Raises:
        BadInputError: If they do not match. The message names every wrong setting, what was found
            and what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems: dict[tuple[str, str], list[str]] = {}
        for one in error.errors():  # a union type gives one error per member
            found = f" (found {reprlib.repr(one['input'])})"
            of_a_model = one["type"] == "value_error" and isinstance(one["input"], dict)
            if one["type"] == "missing" or of_a_model:  # the message names the values
                found = ""
            problems.setdefault((_path(values, one), found), []).append(_allowed(model, one))
        explained = "; ".join(
            f"{path}{' or '.join(allowed)}{found}" for (path, found), allowed in problems.items()
        )
        raise BadInputError(f"{origin}: {explained}") from error


def _path(values: Any, error: ErrorDetails) -> str:
    """Format the path of an error, without the type names that pydantic adds inside unions."""
    path = []
    for part in error["loc"]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(str(part))
    if error["type"] == "missing":
        path.append(str(error["loc"][-1]))
    return f"{'.'.join(path)}: " if path else ""


def _allowed(model: type[BaseModel], error: ErrorDetails) -> str:
    """Say what is allowed at an error; for unknown keys pydantic does not say it."""
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    *parents, key = error["loc"]
    places = [model]
    for part in parents:
        inside = [place.model_fields[part] for place in places if part in place.model_fields]
        if inside:  # otherwise an index, a key of a mapping or a member of a union
            places = [one for field in inside for one in _models(field.annotation)]
    fields = [field for place in places for field in place.model_fields.items()]
    keys = list(dict.fromkeys(name for name, field in fields if not field.exclude))
    near = difflib.get_close_matches(str(key), keys, n=1)
    return "unknown key, " + (
        f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(keys)}"
    )


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models inside a type such as `list[Stage] | None`."""
    inside = get_args(annotation)
    for one in inside:
        yield from _models(one)
    if not inside and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _set(values: dict[str, Any], override: str) -> None:
    """Apply one override `a.b=value`."""
    dotted, equals, value = override.partition("=")
    *parents, last = dotted.strip().split(".")
    if not equals or not last:
        raise BadInputError(f"--set needs key=value, got {override!r}")
    if not value.strip():
        raise BadInputError(f"--set {override!r}: the value is empty; write null for none")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise BadInputError(f"--set {override!r}: {parent!r} is a single value, it has no keys")
    try:
        values[last] = yaml.load(value, _UniqueKeyLoader)  # noqa: S506 - safe
    except BadInputError as error:
        raise BadInputError(f"--set {reprlib.repr(override)}: {error}") from error
    except _NO_YAML as error:
        raise BadInputError(
            f"--set {reprlib.repr(override)}: the value is not valid YAML"
        ) from error
