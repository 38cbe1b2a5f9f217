"""The errors users meet. Each message says what was found, what is allowed and what to do."""

from __future__ import annotations


class DnsityError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class BadInputError(DnsityError, ValueError):
    """The text, path, option or configuration given by the user cannot be used."""

    exit_code = 2


class UnsupportedModelError(BadInputError):
    """The base model's architecture cannot hold gists safely; the reason is in the message."""


class GistMismatchError(DnsityError):
    """A gist file was made by another model, adapter or tokenizer."""

    exit_code = 3


class DamagedFileError(DnsityError):
    """A gist file is truncated, altered or otherwise not what was written."""

    exit_code = 4


class DivergedError(DnsityError):
    """A training run came to a loss or weights that are not finite numbers."""


def first_line(error: BaseException) -> str:
    """Shorten a library's error to its first line."""
    lines: list[str] = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
