"""Source files and functions stay short enough to read in one go."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dnsity"
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 60
"""From `def` to the last line, signature and docstring included."""


def _functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every function with its number of lines."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _too_long(file: str) -> dict[str, int]:
    """Return what exceeds the limits in a file, with its number of lines."""
    source = (SOURCE / file).read_text("utf-8")
    lines = len(source.splitlines())
    found = {file: lines} if lines > MOST_FILE_LINES else {}
    functions = _functions(ast.parse(source))
    return found | {f"{file}: {n}": size for n, size in functions if size > MOST_FUNCTION_LINES}


@pytest.mark.parametrize("file", FILES)
def test_files_and_functions_are_short(file: str) -> None:
    allowed = f"at most {MOST_FILE_LINES} and {MOST_FUNCTION_LINES} lines are allowed"
    assert not _too_long(file), allowed


def test_a_long_function_is_noticed() -> None:
    source = "class A:\n    def long(self):\n" + "        pass\n" * MOST_FUNCTION_LINES
    assert list(_functions(ast.parse(source))) == [("long", MOST_FUNCTION_LINES + 1)]
