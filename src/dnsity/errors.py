"""Errors for users; each message states what was found, what is allowed and what to do."""

from __future__ import annotations


class DnsityError(Exception):
    """Base class of all errors of dnsity; `exit_code` is that of the command line."""

    exit_code = 1


class BadInputError(DnsityError, ValueError):
    """A text, path, option or configuration of the user is invalid."""

    exit_code = 2


class UnsupportedModelError(BadInputError):
    """The base model does not support gists; the message has the reason."""


class GistMismatchError(DnsityError):
    """A gist was made by another model, adapter or tokenizer."""

    exit_code = 3


class DamagedFileError(DnsityError):
    """A gist file is truncated, altered or otherwise damaged."""

    exit_code = 4


class DivergedError(DnsityError):
    """The loss or the weights of a training run are not finite."""


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error message."""
    lines: list[str] = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
