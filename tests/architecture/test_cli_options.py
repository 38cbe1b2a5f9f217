"""The command line keeps its commands and options; a change is deliberate.

`make golden` records them again, see tests/golden/cli_options.txt.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import dnsity
from dnsity.cli.app import app

RECORDED = Path(__file__).parents[1] / "golden" / "cli_options.txt"
RECORD = "DNSITY_GOLDEN"
"""Environment variable that makes this test write the file."""


def _lines(command: Any, words: tuple[str, ...] = ("dnsity",)) -> Iterator[str]:
    """Yield one line for each argument and option of a command, then those of its commands."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield f"{' '.join(words)} {parameter.name}"
        else:
            names = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda n: (-len(n), n))
            kind = " (flag)" if parameter.is_flag else ""
            yield f"{' '.join(words)} {', '.join(names)}{kind}"
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _lines(inner, (*words, name))


def test_commands_and_options_are_as_recorded() -> None:
    found = "".join(f"{line}\n" for line in _lines(typer.main.get_command(app)))
    if os.environ.get(RECORD):
        RECORDED.write_text(found, encoding="utf-8")
    recorded = RECORDED.read_text("utf-8")
    missing = sorted(set(recorded.splitlines()) - set(found.splitlines()))
    assert found == recorded, f"`make golden` records a deliberate change; missing: {missing}"


def _options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", text))


def test_every_option_that_a_text_of_the_source_names_exists() -> None:
    """Advice to use an option that no command has is worse than none."""
    ours = _options_in(RECORDED.read_text("utf-8")) | {"--help"}
    for path in sorted(Path(dnsity.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            # One word, or words that begin with an option, are arguments of another program.
            if isinstance(node, ast.Constant) and re.match(r"[^-\s]\S* ", str(node.value)):
                unknown = _options_in(str(node.value)) - ours
                assert not unknown, f"{path}:{node.lineno}: no command has {sorted(unknown)}"
