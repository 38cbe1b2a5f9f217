"""YAML files to typed models, dotted overrides, and the manifest written beside every output."""

from __future__ import annotations

import difflib
import json
import os
import platform
import reprlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from dnsity.errors import BadInputError

MOST = 2**53
"""Of any number: whole ones up to it are exact as floats and in every JSON reader."""
_LEAST = 1e-12
"""Of any number but 0: smaller ones become 0 or infinity in a model's own arithmetic."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A random seed that every library takes."""
Tokens = Annotated[int, Field(ge=1, le=2**24)]
"""The length of a document."""
Gists = Annotated[int, Field(ge=1, le=4096)]
Digits = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]


class Config(BaseModel):
    """Base of all configuration: unknown keys are errors, values never change after loading.

    Numbers are finite and neither so large nor so small that they overflow somewhere later.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _can_be_computed_with(cls, value: Any) -> Any:
        for number in _numbers(value):
            if abs(number) > MOST or 0 < abs(number) < _LEAST:
                raise ValueError(f"Number out of range, allowed are 0 and {_LEAST:g} to {MOST:,}")
        return value


def some_weight(weights: Mapping[str, float]) -> Mapping[str, float]:
    """Refuse weights of which nothing can be drawn."""
    if not any(weights.values()):
        raise ValueError("all weights are 0; give one above 0")
    return weights


def _numbers(value: Any) -> Iterator[int | float]:
    """Yield a number, or those in a list; mappings may describe what is not ours."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, int | float) and not isinstance(one, bool):
            yield one


_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""ValueError: a date that is none, a number of more digits than Python reads, bytes not UTF-8."""
ConfigT = TypeVar("ConfigT", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; refuse them instead."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubled = {key for key in keys if keys.count(key) > 1}
        if doubled:
            raise BadInputError(f"key {sorted(doubled)[0]!r} occurs twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def load(path: Path, model: type[ConfigT], overrides: Sequence[str] = ()) -> ConfigT:
    """Read a YAML file into a model.

    Args:
        path: The file.
        model: What it must describe.
        overrides: `a.b=value` each; the value is read as YAML.

    Raises:
        BadInputError: If the file is missing, is not YAML, or does not fit the model; it names all
            settings and overrides that are wrong.
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
    """Apply overrides to values and check them; arguments and errors as for `load`."""
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
    """Check values against a model; `origin` says in errors where they come from.

    Raises:
        BadInputError: If they do not fit; it names every setting that does not, what was found and
            what is allowed.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems: dict[tuple[str, str], list[str]] = {}
        for one in error.errors():  # a value that may be one of several types has one for each
            found = f" (found {reprlib.repr(one['input'])})"
            about_the_whole = one["type"] == "value_error" and isinstance(one["input"], dict)
            if one["type"] == "missing" or about_the_whole:  # the message says it better
                found = ""
            allowed = _allowed(model, one)
            problems.setdefault((_path(values, one), found), []).append(allowed)
        explained = "; ".join(
            f"{path}{' or '.join(allowed)}{found}" for (path, found), allowed in problems.items()
        )
        raise BadInputError(f"{origin}: {explained}") from error


def _path(values: Any, error: ErrorDetails) -> str:
    """Write where an error is, without the names of types that pydantic adds inside unions."""
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
    """Say what could stand where an error is: pydantic does, but for unknown keys."""
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    *parents, key = error["loc"]
    places = [model]
    for part in parents:
        inside = [place.model_fields[part] for place in places if part in place.model_fields]
        if inside:  # else an index, a key of a mapping or a member of a union
            places = [one for field in inside for one in _models(field.annotation)]
    keys = list(dict.fromkeys(name for place in places for name in place.model_fields))
    near = difflib.get_close_matches(str(key), keys, n=1)
    return "unknown key, " + (
        f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(keys)}"
    )


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in a type such as `list[Stage] | None`."""
    inside = get_args(annotation)
    for one in inside:
        yield from _models(one)
    if not inside and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _set(values: dict[str, Any], override: str) -> None:
    """Apply one `a.b=value`."""
    dotted, equals, value = override.partition("=")
    *parents, last = dotted.strip().split(".")
    if not equals or not last:
        raise BadInputError(f"--set needs key=value, for example training.seed=1, got {override!r}")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise BadInputError(f"--set {override!r}: {parent!r} is a single value, it has no keys")
    try:
        values[last] = yaml.safe_load(value)
    except _NO_YAML as error:
        raise BadInputError(
            f"--set {reprlib.repr(override)}: the value is not valid YAML"
        ) from error


def manifest(config: BaseModel, seed: int) -> dict[str, Any]:
    """Describe a run so that its numbers can be traced: code, date, versions, hardware, seed."""
    packages = ("dnsity", "torch", "transformers", "peft", "tokenizers", "safetensors")
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain")),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in packages},
        "hardware": {"machine": platform.machine(), "cpu": _cpu(), "cores": os.cpu_count()},
        "seed": seed,
        "config": config.model_dump(mode="json"),
    }


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write, and put it in place once that is done: never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # gone, unless writing or renaming failed
            temporary.unlink()


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Open a text file that is in place whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    with whole_file(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def git(*arguments: str) -> str:
    """Ask git about the directory we are in; nothing where there is no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
