"""The model that is shipped: it loads, it is small, and it is right on its own demonstration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dnsity import GistModel
from dnsity.config import validated
from dnsity.evaluation.runner import run
from dnsity.evaluation.settings import EvalConfig
from dnsity.model.checkpoint import find
from dnsity.model.gist_lm import GistLM

MAX_BYTES = 32_000_000


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What `dnsity demo --json` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "dnsity", "demo", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_it_is_small_and_says_what_it_is() -> None:
    files = [path for path in find("mini").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    card = (find("mini") / "README.md").read_text(encoding="utf-8")
    assert "CC BY-SA 3.0" in card
    assert "cannot" in card


def test_the_demonstration_compresses_long_documents_to_25_gists(report: dict[str, Any]) -> None:
    assert len(report["documents"]) == 2
    for document in report["documents"]:
        assert document["context_tokens"] >= 2000
        assert document["gist_tokens"] == 25
        assert document["full_kv_bytes"] / document["gist_kv_bytes"] >= 80


def test_the_gist_beats_no_context_on_the_demonstration(report: dict[str, Any]) -> None:
    right = {
        method: sum(
            question["methods"][method]["right"]
            for document in report["documents"]
            for question in document["questions"]
        )
        for method in ("gist", "none")
    }
    assert right["none"] == 0, "the answers are nowhere but in the documents"
    assert right["gist"] > right["none"]


def test_a_passkey_survives_save_and_load(tmp_path: Path) -> None:
    model = GistModel.from_pretrained("mini")
    prose = "The gardens were laid out along the river, and people walked there in the evening. "
    text = prose * 12 + "The passkey is 73915. " + prose * 12
    path = model.compress(text).save(tmp_path / "garden.gist.safetensors")
    from dnsity import GistCache

    assert model.ask(GistCache.load(path), "What is the passkey?").text == "73915"


def _scores(output: Path) -> dict[str, float]:
    values = {
        # Korean: of the English filler one in five is still "yellow" (docs/log.md).
        "tasks": [{"family": "niah", "language": "ko", "tokens": [400]}],
        "methods": ["gist", "gist_wrong_document", "full", "none"],
        "limit": 10,
    }
    rows = run(validated(EvalConfig, values, "test"), output)["rows"]
    return {row["method"]: row["score"]["value"] for row in rows}


def test_a_broken_compress_drops_the_gist_to_the_level_of_no_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation can tell gists from nothing: zeros in their place score like nothing."""
    scores = _scores(tmp_path / "whole")
    assert scores["none"] == scores["gist_wrong_document"] == 0
    assert scores["gist"] >= 0.8
    real = GistLM.compress

    def zeroed(self: GistLM, *given: Any, **more: Any) -> Any:
        return tuple((k.zero_(), v.zero_()) for k, v in real(self, *given, **more))

    monkeypatch.setattr(GistLM, "compress", zeroed)
    broken = _scores(tmp_path / "broken")
    assert broken["gist"] == scores["none"]
    assert broken["full"] == scores["full"], "nothing else was broken"
