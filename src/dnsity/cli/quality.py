"""The quality of a compression in words: its quality check and the method's own report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnsity.cli.console import warn

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import Check, GistInfo


def check_report(check: Check) -> dict[str, Any]:
    """Return a quality check for --json: its counts and what they mean."""
    return {
        **check.model_dump(mode="json"),
        "says_something": check.says_something,
        "passed": check.passed,
    }


def warn_of_quality(info: GistInfo, name: str = "") -> None:
    """Warn if the method reports a problem, or if the quality check failed.

    Args:
        info: Description of the gist.
        name: Name of the document, if there are several.
    """
    from dnsity.inference.methods import COMPRESSORS

    method = COMPRESSORS[info.method]
    of = f"{name}: " if name else ""
    problem = method.report(info.settings).warning
    if problem:
        warn(f"{of}{problem}; {method.advice}")
    check = info.check
    if check is not None and not check.passed:
        warn(
            f"{of}answers from these gists are not reliable: {check.both} of the {check.full} "
            f"questions that the whole document answers are right; {method.advice}"
        )
