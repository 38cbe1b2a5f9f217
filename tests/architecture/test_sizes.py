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
LONG: set[str] = set()
"""Known exceptions: `FILE`, or `FILE: FUNCTION`. Only removals are welcome."""


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
    found = {name: lines for name, lines in _too_long(file).items() if name not in LONG}
    assert not found, f"at most {MOST_FILE_LINES} and {MOST_FUNCTION_LINES} lines are allowed"


def test_exceptions_are_still_needed() -> None:
    needed = {name for file in FILES for name in _too_long(file)}
    assert needed >= LONG, f"remove {sorted(LONG - needed)} from the list"


def test_a_long_function_is_noticed() -> None:
    source = "class A:\n    def long(self):\n" + "        pass\n" * MOST_FUNCTION_LINES
    assert list(_functions(ast.parse(source))) == [("long", MOST_FUNCTION_LINES + 1)]
