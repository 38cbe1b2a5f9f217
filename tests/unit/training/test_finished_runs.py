"""A finished run's tag: its name, what it says, and when there is nothing to be named."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import BadInputError
from dnsity.training import finished_runs

PROBE = {"documents": 32, "tokens": [512, 4096], "gist": 0.9, "gist_512": 0.98, "gist_4096": 0.82}


def _git(folder: Path, *arguments: str) -> str:
    """Run git with a name of its own and no settings of this machine."""
    identity = {
        f"GIT_{role}_{what}": "test@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository of one commit, as the working directory."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    _git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
    monkeypatch.chdir(folder)
    return folder


def _finished(
    folder: Path, *, commit: str = "a" * 40, dirty: bool = False, probe: Any = PROBE, **gist: Any
) -> Path:
    """Write what a run leaves."""
    folder.mkdir(exist_ok=True)
    described = {
        "commit": commit, "dirty": dirty, "seed": 0, "versions": {},
        "config": {"base": "x", "gist": {"gists": 25, "placement": "append", **gist}},
    }  # fmt: skip
    result = {"step": 1200, "seconds": 812.3, "probe": probe}
    (folder / finished_runs.MANIFEST).write_text(json.dumps(described), encoding="utf-8")
    (folder / finished_runs.RESULT).write_text(json.dumps(result), encoding="utf-8")
    return folder


def test_the_printed_command_makes_the_tag(repository: Path, tmp_path: Path) -> None:
    commit = _git(repository, "rev-parse", "HEAD")
    command = finished_runs.tag(_finished(tmp_path / "run", commit=commit)).command
    assert command == (f'git tag -a exp-gist25-v1 -m "25 tokens, 4k context, 82% passkey" {commit}')
    assert _git(repository, "tag") == ""
    _git(repository, *shlex.split(command)[1:])
    assert _git(repository, "cat-file", "-t", "exp-gist25-v1") == "tag"
    assert _git(repository, "rev-parse", "exp-gist25-v1^{commit}") == commit


def test_versions_go_on_from_the_highest_of_the_same_name(repository: Path, tmp_path: Path) -> None:
    for name in ("exp-gist25-v2", "exp-gist25-v10", "exp-gist25-vx", "exp-gist25-spread-v40"):
        _git(repository, "tag", name)
    run = tmp_path / "run"
    assert finished_runs.tag(_finished(run)).name == "exp-gist25-v11"
    assert finished_runs.tag(_finished(run, placement="spread")).name == "exp-gist25-spread-v41"
    assert finished_runs.tag(_finished(run, gists=2)).name == "exp-gist2-v1"


def test_outside_a_repository_the_version_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert finished_runs.tag(_finished(tmp_path / "run")).name == "exp-gist25-v1"


@pytest.mark.parametrize(
    ("tokens", "written"),
    [([512], "512"), ([1024, 2048], "2k"), ([8192, 512], "8k"), ([2400], "2400")],
)
def test_the_longest_probe_names_the_context(
    tmp_path: Path, tokens: list[int], written: str
) -> None:
    tag = finished_runs.tag(
        _finished(tmp_path / "run", probe={"tokens": tokens, f"gist_{max(tokens)}": 1.0})
    )
    assert tag.message == f"25 tokens, {written} context, 100% passkey"


def _without(name: str) -> Any:
    return lambda run: (run / name).unlink()


def _holding(name: str, text: str) -> Any:
    return lambda run: (run / name).write_text(text, encoding="utf-8")


REFUSED: dict[str, tuple[Any, str]] = {
    "no manifest": (_without("run.json"), r"contains no run\.json; give the --output-dir"),
    "unfinished": (_without("result.json"), r"no result\.json; the run is unfinished.*--resume"),
    "half a manifest": (_holding("run.json", '{"commit": "a'), r"run\.json is damaged .*--resume"),
    "half a result": (_holding("result.json", "{"), r"result\.json is damaged .*--resume"),
    "a list": (_holding("result.json", "[]"), r"result\.json is damaged \(no object\)"),
    "no run of gists": (
        _holding("run.json", '{"commit": "a", "dirty": false, "config": {}}'),
        r"run\.json: config\.gist: Field required",
    ),
    "nothing measured": (
        lambda run: _finished(run, probe=None), r"has no probe.*add a `probe` section"),
    "dirty": (lambda run: _finished(run, dirty=True), r"uncommitted changes.*other code.*; commit"),
    "no commit": (lambda run: _finished(run, commit=""), "outside any commit.*other code"),
    "not a commit": (lambda run: _finished(run, commit="a; rm"), "outside any commit"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_named_is_refused(tmp_path: Path, case: str) -> None:
    spoil, says = REFUSED[case]
    run = _finished(tmp_path / "run")
    spoil(run)
    with pytest.raises(BadInputError, match=says):
        finished_runs.tag(run)


def _dnsity(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dnsity", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_prints_one_line_and_makes_no_tag(repository: Path, tmp_path: Path) -> None:
    _git(repository, "tag", "exp-gist25-v3")
    run = _finished(tmp_path / "run", commit=_git(repository, "rev-parse", "HEAD"))
    shown, report = _dnsity("runs", "tag", run), _dnsity("runs", "tag", run, "--json")
    tag = finished_runs.tag(run)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"{tag.command}\n", "")
    assert json.loads(report.stdout) == {
        "name": "exp-gist25-v4",
        "message": "25 tokens, 4k context, 82% passkey",
        "commit": tag.commit,
        "command": tag.command,
    }
    assert _git(repository, "tag") == "exp-gist25-v3"


def test_a_refusal_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = _dnsity("runs", "tag", tmp_path, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {tmp_path} contains no run.json; give the --output-dir of a `dnsity train` run\n"
    )
