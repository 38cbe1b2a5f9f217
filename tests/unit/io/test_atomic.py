"""A failed or concurrent write leaves the old file or the new one, and nothing else."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dnsity.io.atomic import atomic_path, write_json, write_private_bytes


def test_json_comes_back_as_written(tmp_path: Path) -> None:
    value = {"이름": ["a", 1, None, 1.5e-9], "b": {"c": True}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "이름" in text
    assert text.endswith("}\n")
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("value", [{"new": 1}, {"not JSON": object()}])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((OSError, TypeError)):
        write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": 1}


def test_threads_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path, texts = tmp_path / "a", [letter * 10_000 for letter in "abc"]

    def write(text: str) -> None:
        for _ in range(20):
            with atomic_path(path) as draft:
                draft.write_text(text)
            assert path.read_text() in texts

    threads = [Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.listdir(tmp_path) == ["a"]


def test_a_private_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / ("b" * 250)
    path.write_bytes(b"old")
    write_private_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
