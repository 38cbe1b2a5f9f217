"""A manifest names everything that a result depends on."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

import pytest

from dnsity.config import Config
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest


class Outer(Config):
    """A configuration."""

    name: str


def test_a_manifest_says_what_made_the_numbers(tmp_path: Path) -> None:
    settings = Outer(name="a")
    described = manifest(settings, seed=7)
    assert described["seed"] == 7
    assert datetime.strptime(described["date"], "%Y-%m-%d")
    assert described["config"] == settings.model_dump(mode="json")
    assert described["python"] == sys.version.split()[0]
    assert {"torch", "transformers", "dnsity"} <= described["versions"].keys()
    assert described["hardware"]["cores"] == os.cpu_count()
    write_json(tmp_path / "run.json", described)


def test_a_manifest_outside_a_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert manifest(Outer(name="a"), seed=0)["commit"] == ""
