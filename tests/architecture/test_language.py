"""Retired words stay out of `--help`, docstrings, comments and messages.

The list holds words that made readers read twice: sayings, private terms, and words with a plain
term of the field in their place. It covers what a program can recognise, not good style as such.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

import dnsity
from dnsity.cli.app import app

SOURCE = Path(dnsity.__file__).parent

RETIRED = {
    r"behind": "say 'after' or 'conditioned on'",
    r"hear(s|d|ing)?": "say 'process', 'see' or 'is conditioned on'",
    r"drawn|drew": "say 'sampled' or 'random'; a picture is 'plotted'",
    r"lies?|lying|lain": "say where something 'is'",
    r"stands?|stood|standing": "say what something 'is', 'means' or 'replaces'",
    r"of everything that": "name the thing",
    r"(go|goes|gone|going|went) on": "say 'resumes' or 'continues'",
    r"(take|takes|taken|taking|took) along": "say 'store', 'include' or 'copy'",
    r"side by side": "say 'in one batch' or 'packed'",
    r"whole or not at all": "say 'atomically'",
    r"lessons?": "say 'teacher output'",
    r"nobody": "say who does what",
    r"one's own": "say whose",
    r"for want of": "say 'without' or 'because there is no'",
    r"no longer than it must": "say 'briefly' or name the time",
    r"at one's own risk": "name the risk",
    r"without a word": "say 'silently'",
    r"(go|goes|going|went|gone) by": "say 'uses', 'follows' or 'depends on'",
    r"whatever it is": "say 'any'",
    r"save for|but for": "say 'except'",
    r"likewise": "write the explanation out",
    r"be it": "say 'whether ... or'",
    r"beside it": "say 'next to it' or 'in addition'",
    r"laid out": "say 'formatted' or 'arranged'",
    r"(tell|tells|telling|told)( \w+)? apart": "say 'distinguish'",
    r"(look|looks|looked|looking) at": "say 'attend to' or 'inspect'",
    r"pieces?": "say 'record', 'span', 'part' or 'example'",
}
"""Patterns of whole words, in any case, and what to write."""

PRINTERS = ("say", "warn", "print", "status", "progress_bar", "warning", "info", "_note")
"""Functions that show text to users."""

OPENERS = ("Of", "As", "Also", "So", "But", "By", "To", "And", "Or", "What", "Whether", "How")
"""A help text begins with a noun or an imperative, not with one of these."""

MOST_CHARACTERS = 100
"""Of the first line of a docstring."""

PATHS = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))


@cache
def _nodes(path: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse((SOURCE / path).read_text(encoding="utf-8"))))


def _docstrings(path: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text, and whether a module, class or function has it (else: an attribute)."""
    for node in _nodes(path):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for index, statement in enumerate(node.body):
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield statement.lineno, statement.value.value, index == 0


def _messages(path: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of strings that are raised or printed."""
    for node in _nodes(path):
        if not isinstance(node, ast.Raise | ast.Call):
            continue
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            if called not in PRINTERS and not called.endswith("Error"):
                continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield inner.lineno, inner.value


def _comments(path: str) -> Iterator[tuple[int, str]]:
    source = (SOURCE / path).read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _retired(text: str) -> list[tuple[int, str, str]]:
    """Find the retired words of a text: lines before each, the word, what to write."""
    return [
        (text.count("\n", 0, match.start()), match.group(), advice)
        for pattern, advice in RETIRED.items()
        for match in re.finditer(rf"\b({pattern})\b", text, re.IGNORECASE)
    ]


def _helps() -> list[tuple[str, str]]:
    """List each command and option with its help text."""
    found: list[tuple[str, str]] = []

    def visit(name: str, command: object) -> None:
        found.append((name, getattr(command, "help", None) or ""))
        for parameter in getattr(command, "params", ()):
            option = max(getattr(parameter, "opts", [""]), key=len)
            if option != "--help":
                found.append((f"{name} {option}", getattr(parameter, "help", None) or ""))
        for child, inner in getattr(command, "commands", {}).items():
            visit(f"{name} {child}", inner)

    visit("dnsity", typer.main.get_command(app))
    return found


def test_the_list_finds_a_retired_word() -> None:
    assert _retired("Ask it.\nThe question stands Behind the gists.") == [
        (1, "Behind", RETIRED["behind"]),
        (1, "stands", RETIRED["stands?|stood|standing"]),
    ]
    assert not _retired("The earlier underlies a sentencepiece tokenizer, and understands it.")


@pytest.mark.parametrize("path", PATHS)
def test_docstrings_use_plain_words(path: str) -> None:
    found = [
        f"{path}:{line + offset}: '{word}': {advice}"
        for line, text, _ in _docstrings(path)
        for offset, word, advice in _retired(text)
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", PATHS)
def test_messages_and_comments_use_plain_words(path: str) -> None:
    found = {
        f"{path}:{line + offset}: '{word}': {advice}"
        for line, text in [*_messages(path), *_comments(path)]
        for offset, word, advice in _retired(text)
    }
    assert not found, "\n" + "\n".join(sorted(found))


@pytest.mark.parametrize("path", PATHS)
def test_docstrings_begin_with_one_sentence(path: str) -> None:
    found = []
    for line, text, owned in _docstrings(path):
        first = text.strip().splitlines()[0]
        if owned and (len(first) > MOST_CHARACTERS or not first.endswith((".", ":"))):
            found.append(f"{path}:{line}: {first}")
    assert not found, "\n" + "\n".join(found)


def test_help_uses_plain_words() -> None:
    found = [
        f"{name}: '{word}': {advice}"
        for name, text in _helps()
        for _, word, advice in _retired(text)
    ]
    assert not found, "\n" + "\n".join(found)


def test_help_begins_with_a_noun_or_an_imperative() -> None:
    found = []
    for name, text in _helps():
        first = (text.split() or [""])[0]
        if not text[:1].isupper() or first.rstrip(",") in OPENERS:
            found.append(f"{name}: {text}")
    assert not found, "\n" + "\n".join(found)
