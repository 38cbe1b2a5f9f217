"""Which families `make test` tries; `make test-all` tries all."""

from __future__ import annotations

import pytest

EXHAUSTIVE = {"qwen2", "qwen3-untied", "mistral"}
"""Families that differ from llama, qwen3-tied, gemma3 and mistral-sliding in nothing that decides
an equivalence; every test has one of those as well."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of these families where a test has others."""
    here = [item for item in items if item.path.parent.name == "equivalence"]
    families: dict[str, set[str]] = {}
    for item in here:
        families.setdefault(_test(item), set()).add(_family(item))
    for item in here:
        if _family(item) in EXHAUSTIVE and families[_test(item)] - EXHAUSTIVE:
            item.add_marker(pytest.mark.exhaustive)


def _test(item: pytest.Item) -> str:
    return f"{item.path}::{getattr(item, 'originalname', item.name)}"


def _family(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "callspec", None), "params", {}).get("family", ""))
