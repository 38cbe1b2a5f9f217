"""What a compression is worth: the quality check and what refining changed, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dnsity.cli.console import warn

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import Check, GistInfo

_MORE = {
    "select": "use a lower --ratio or more --gists",
    "refine": "use more --minutes or more --gists",
    "gist": "use more --gists, or --method select or refine",
}


def check_report(check: Check) -> dict[str, Any]:
    """Return a check for --json: its counts and what they mean."""
    return {
        **check.model_dump(mode="json"),
        "says_something": check.says_something,
        "passed": check.passed,
    }


def refined(settings: dict[str, Any]) -> str:
    """Say what refining changed in the held-out answers."""
    steps, asked = settings["steps"], settings["questions"]
    if not asked:
        return f"refined in {steps} steps; no question could be held out"
    return (
        f"refined in {steps} steps: right answers {settings['right_before']} -> "
        f"{settings['right_after']} of {asked} held-out questions "
        f"(full context {settings['right_full']})"
    )


def warn_of_quality(info: GistInfo, name: str = "") -> None:
    """Warn where refining changed nothing for the better, or a check is below the floor.

    Args:
        info: Of the gist.
        name: Of the document, where there are several.
    """
    of = f"{name}: " if name else ""
    more = _MORE[info.method]
    if info.settings.get("kept_start"):
        warn(
            f"{of}refining improved no held-out answer, so its start "
            f"({info.settings['start']}) is saved; {more}"
        )
    check = info.check
    if check is not None and not check.passed:
        warn(
            f"{of}answers from these gists are not to be relied on: {check.both} of the "
            f"{check.full} questions that the whole document answers are right; {more}"
        )
