"""The result of a finished run, and the git tag that names the run after its last probe."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.gist.spec import Placement

MANIFEST, RESULT = "run.json", "result.json"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class _Gist(BaseModel):
    gists: int
    placement: Placement


class _Configuration(BaseModel):
    gist: _Gist


class _Manifest(BaseModel):
    commit: str
    dirty: bool
    config: _Configuration


class _Result(BaseModel):
    probe: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated git tag that does not exist yet."""

    name: str
    message: str
    commit: str

    @property
    def command(self) -> str:
        """The command that creates it; it needs no quoting in a shell."""
        return f'git tag -a {self.name} -m "{self.message}" {self.commit}'


def tag(directory: Path) -> Tag:
    """Name a finished run after its gists and the score of its last probe.

    The version is one above the highest tag of that name in the git repository of the working
    directory, or 1.

    Raises:
        BadInputError: If the run is not finished, has no probe, or its code is in no commit.
    """
    manifest = validated(
        _Manifest,
        _read(directory / MANIFEST, "give the --output-dir of a `dnsity train` run"),
        str(directory / MANIFEST),
    )
    result = validated(
        _Result,
        read_result(directory),
        str(directory / RESULT),
    )
    if result.probe is None:
        raise BadInputError(
            f"{directory} has no probe, so it has no score to be named after; add a `probe` "
            "section to the configuration and --resume the run"
        )
    if manifest.dirty or not _COMMIT.fullmatch(manifest.commit):
        why = "from a tree with uncommitted changes" if manifest.dirty else "outside any commit"
        raise BadInputError(
            f"{directory} was made {why}, so a tag would point to other code than the run's; "
            "commit and run it again"
        )
    gist = manifest.config.gist
    stem = f"exp-gist{gist.gists}" + ("-spread" if gist.placement == "spread" else "")
    tokens, right = _longest(result.probe, directory)
    return Tag(
        f"{stem}-v{_next_version(stem)}",
        f"{gist.gists} tokens, {_short(tokens)} context, {right:.0%} passkey",
        manifest.commit,
    )


def _longest(probe: dict[str, Any], directory: Path) -> tuple[int, float]:
    """Return the length of the probe's longest documents, and the share of right answers there."""
    try:
        tokens = max(map(int, probe["tokens"]))
        return tokens, float(probe[f"gist_{tokens}"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{directory / RESULT} contains no probe of gists ({type(error).__name__}: {error}); "
            "--resume the run to write it"
        ) from error


def read_result(directory: Path) -> dict[str, Any]:
    """Read `result.json` of a finished run."""
    return _read(
        directory / RESULT,
        f"the run is unfinished: resume it with `dnsity train --output-dir {directory} --resume` "
        "and its --config",
    )


def _read(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object; `remedy` says what to do if the file is missing."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInputError(f"{path.parent} contains no {path.name}; {remedy}") from error
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise BadInputError(f"{path} is damaged ({error}); --resume the run to write it") from error
    if not isinstance(values, dict):
        raise BadInputError(f"{path} is damaged (no object); --resume the run to write it")
    return values


def _short(tokens: int) -> str:
    """Abbreviate a number of tokens: 512 as `512`, 4096 as `4k`."""
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else str(tokens)


def _next_version(stem: str) -> int:
    """Return one more than the highest tag `STEM-vN`; 1 outside a repository."""
    try:
        done = subprocess.run(
            ["git", "tag", "-l", f"{stem}-v*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return 1
    versions = (name.removeprefix(f"{stem}-v") for name in done.stdout.split())
    return 1 + max((int(version) for version in versions if version.isdecimal()), default=0)
