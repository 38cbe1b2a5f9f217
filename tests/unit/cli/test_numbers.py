"""Every number that a user can give is refused with what is allowed, never as a defect.

Options and settings are found, not listed: a new one is tried, too.
"""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
import typer

import dnsity
from dnsity.cli.app import app
from dnsity.config import MOST, Config, load, validated
from dnsity.errors import BadInputError
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_cache import GistInfo
from running import Run

BAD = ["nan", "inf", "-inf", "-1", "1e300", "1e-300", f"{10**30}", "9" * 5000, "x", ""]


def _kinds(hint: Any) -> set[type]:
    """Return the simple types in a type."""
    if get_origin(hint) is Annotated:
        return _kinds(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*map(_kinds, get_args(hint)))
    return {hint} if isinstance(hint, type) else set()


def _commands(group: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for command in group.registered_commands:
        yield (*path, command.name), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from _commands(inner.typer_instance, (*path, str(inner.name)))


def _options() -> Iterator[tuple[tuple[str, ...], str]]:
    for path, function in _commands(app):
        for name, hint in get_type_hints(function, include_extras=True).items():
            if name != "return" and _kinds(hint) & {int, float}:
                declared = [
                    one.param_decls[0]
                    for one in getattr(hint, "__metadata__", ())
                    if getattr(one, "param_decls", None)
                ]
                yield path, declared[0] if declared else "--" + name.replace("_", "-")


OPTIONS = list(_options())


def test_options_are_found() -> None:
    assert len(OPTIONS) > 15
    assert (("ask",), "--temperature") in OPTIONS
    assert (("train",), "--gpu-teraflops") in OPTIONS


@pytest.fixture
def needed(document: Path, gist_file: Path, model_directory: str) -> Callable[..., list[object]]:
    """What each command needs besides, so that only the number is wrong."""
    out = document.parent / "out"

    def arguments(path: tuple[str, ...], option: str) -> list[object]:
        given: dict[tuple[str, ...], list[object]] = {
            ("ask",): [gist_file, "What?", "-m", model_directory],
            ("compress",): [document, "-o", out, "-m", model_directory],
            ("train",): ["--config", document, "--output-dir", out, "--dry-run"],
            ("data", "chunk"): [document, "-o", out],
            ("data", "niah"): ["-o", out, "--tokens", "200"],
            ("data", "overlap"): ["--held-out", document, "--training", document],
            ("data", "synthetic"): [document, "-o", out],
            ("eval",): ["--output-dir", out],
        }
        method = {"--ratio": "select", "--minutes": "refine", "--steps": "refine"}.get(option)
        named = path == ("compress",) and method
        return given.get(path, []) + (["--method", method] if named else [])

    return arguments


@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=lambda part: " ".join(part)
                         if isinstance(part, tuple) else part)  # fmt: skip
def test_a_bad_number_is_a_usage_error(
    run: Run,
    needed: Callable[..., list[object]],
    document: Path,
    path: tuple[str, ...],
    option: str,
) -> None:
    if path == ("train",):  # a configuration that can be read: only the option is wrong
        document.write_text("{}", encoding="utf-8")
    for bad in BAD:
        done = run(*path, *needed(path, option), f"{option}={bad}")
        assert (done.code, done.out) == (2, ""), (bad, done)
        assert "defect" not in done.err, (bad, done.err)
        assert "Traceback" not in done.err
        assert option.strip("-").replace("-", "_") in done.err.replace("-", "_"), (bad, done.err)


@pytest.mark.parametrize("value", ["tokens", "depths", "digits"])
@pytest.mark.parametrize("bad", [*BAD, "0.", "1,nan", "1.e400"])
def test_lists_of_numbers_too(run: Run, tmp_path: Path, value: str, bad: str) -> None:
    if (value, bad) == ("depths", "0."):
        return  # the start of the document
    if (value, bad) == ("depths", "1e-300"):
        bad = "1.0e-300"
    done = run("data", "niah", "-o", tmp_path / "out", f"--{value}={bad}")
    assert done.code == 2, done
    assert "defect" not in done.err
    assert value in done.err


# Settings


def _configs() -> Iterator[type[Config]]:
    for module in pkgutil.walk_packages(dnsity.__path__, "dnsity."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [Config]
    for each in found:
        found += [one for one in each.__subclasses__() if one not in found]
    return (each for each in found if each.__module__.startswith("dnsity."))


SETTINGS = [
    (config, name)
    for config in _configs()
    for name, field in config.model_fields.items()
    if _kinds(field.annotation) & {int, float}
]
NUMBERS = [
    float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 1e-300, -1e-300, 10**30, -(10**30),
    2 * MOST,
]  # fmt: skip


@pytest.mark.parametrize(("config", "name"), SETTINGS, ids=lambda p: getattr(p, "__name__", p))
def test_a_bad_number_in_settings_is_named(config: type[Config], name: str) -> None:
    for number in NUMBERS:
        with pytest.raises(BadInputError) as caught:
            validated(config, _whole(config) | {name: number}, "here")
        assert name in str(caught.value), number


LISTS = [
    (config, name)
    for config in _configs()
    for name, field in config.model_fields.items()
    for hint in (field.annotation, *get_args(field.annotation))
    if get_origin(hint) is list and _kinds(get_args(hint)[0]) & {int, float}
]


@pytest.mark.parametrize(("config", "name"), LISTS, ids=lambda p: getattr(p, "__name__", p))
def test_a_bad_number_in_a_list_is_named(config: type[Config], name: str) -> None:
    for number in [*NUMBERS, -1, 2**30]:
        with pytest.raises(BadInputError) as caught:
            validated(config, _whole(config) | {name: [1, number]}, "here")
        assert name in str(caught.value), number


@pytest.mark.parametrize("weights", [{"passkey": -1}, {"passkey": 0}, {"passkey": float("nan")}])
def test_weights_that_nothing_can_be_drawn_by(weights: dict[str, float]) -> None:
    from dnsity.data.generators.mixture import MixtureConfig
    from dnsity.training.curriculum import Stage
    from dnsity.training.probe import ProbeConfig

    corpus = {"corpus": {"en": ["a.txt"]}}
    for config, given in (
        (MixtureConfig, {**corpus, "documents": weights}),
        (ProbeConfig, {**corpus, "kinds": weights}),
        (Stage, {"tokens": [100], "documents": weights}),
        (Stage, {"tokens": [100], "share": {"gist": weights["passkey"]}}),
    ):
        with pytest.raises(BadInputError, match=r"documents|kinds|share"):
            validated(config, given, "here")


@pytest.mark.parametrize(
    "setting", ["tokens: [0]", "depths: [2]", "digits: [0]", "needles: 100000", "absent: 90000000"]
)
def test_an_evaluation_names_its_bad_number(run: Run, tmp_path: Path, setting: str) -> None:
    tasks = f"tasks=[{{family: niah, language: en, {setting}}}]"
    done = run("eval", "--set", tasks, "--output-dir", tmp_path / "out")
    assert done.code == 2, done
    assert setting.partition(":")[0] in done.err


def _whole(config: type[Config]) -> dict[str, Any]:
    """Give required settings, so that the bad number is the one that is wrong."""
    simple: dict[Any, Any] = {int: 100, str: "en", float: 1.0}
    return {
        name: next((simple[kind] for kind in _kinds(field.annotation) if kind in simple), {})
        for name, field in config.model_fields.items()
        if field.is_required()
    }


def test_settings_are_found() -> None:
    assert len(SETTINGS) > 60
    assert len(LISTS) > 10
    assert (GistInfo, "n_gist") in SETTINGS


@pytest.mark.parametrize(
    "text",
    [".nan", ".inf", "-.inf", "1e400", "9" * 5000, "2020-13-45", "[" * 5000, "0x" + "f" * 40],
)
def test_what_yaml_makes_of_a_number_is_refused(tmp_path: Path, text: str) -> None:
    class Settings(Config):
        steps: int = 1
        rate: float = 1.0

    file = tmp_path / "a.yaml"
    for name in Settings.model_fields:
        file.write_text(f"{name}: {text}\n", encoding="utf-8")
        with pytest.raises(BadInputError):
            load(file, Settings)
        file.write_text("{}\n", encoding="utf-8")
        with pytest.raises(BadInputError):
            load(file, Settings, [f"{name}={text}"])


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1e-40}, {"temperature": 1e-4}, {"temperature": float("nan")},
        {"temperature": float("inf")}, {"temperature": 1e30}, {"top_p": float("nan")},
        {"top_p": 1e-40}, {"top_p": 1.1}, {"seed": -1}, {"seed": 2**40},
        {"max_new_tokens": 10**30}, {"max_new_tokens": -1},
    ],
    ids=str,
)  # fmt: skip
def test_sampling_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="needs max_new_tokens"):
        Sampling(**change)
    Sampling(temperature=0.001, top_p=0.5, seed=0)
