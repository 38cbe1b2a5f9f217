"""Every module imports by itself, and every public name is there."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import dnsity

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(dnsity.__path__, "dnsity.")
    if not module.name.endswith(".__main__")  # importing it would run the command line
)


def test_modules_are_found() -> None:
    assert {"dnsity.config", "dnsity.cli.app", "dnsity.model.gist_lm"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    assert import_module(name).__doc__


@pytest.mark.parametrize("name", dnsity.__all__)
def test_public_names_are_what_they_are_called(name: str) -> None:
    assert getattr(dnsity, name).__name__ == name


def test_public_names_are_complete() -> None:
    assert sorted(dnsity.__all__) == sorted(dnsity._HOME)
    assert dnsity.__all__ == sorted(dnsity.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gist'"):
        dnsity.Gist  # noqa: B018
