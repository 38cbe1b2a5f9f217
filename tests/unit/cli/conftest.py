"""Running the command line in this process, with a tiny model on disk."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from dnsity.cli.app import main
from running import Done, Run
from tiny import DOCUMENT, save, tiny_gist_model


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(tiny_gist_model(), tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(scope="session")
def other_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of the same shape with other weights."""
    return str(save(tiny_gist_model(seed=1), tmp_path_factory.mktemp("other") / "model"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `dnsity ARGUMENTS` as the entry point does."""
    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, "error" if name.endswith("VERBOSITY") else "1")

    def command(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["dnsity", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return command


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A text file in a directory of its own."""
    path = tmp_path / "handbook.txt"
    path.write_text(DOCUMENT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def gist_bytes(tmp_path_factory: pytest.TempPathFactory, model_directory: str) -> bytes:
    """The gist file of `document` by the model in `model_directory`."""
    from dnsity.inference.gist_model import GistModel

    path = tmp_path_factory.mktemp("gist") / "a.gist.safetensors"
    GistModel.from_pretrained(model_directory).compress(DOCUMENT).save(path)
    return path.read_bytes()


@pytest.fixture
def gist_file(tmp_path: Path, gist_bytes: bytes) -> Path:
    path = tmp_path / "a.gist.safetensors"
    path.write_bytes(gist_bytes)
    return path
