"""The notebook runs from top to bottom, draws its pictures and says what it promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "gist_demo.ipynb"
PICTURES = 8
"""The mask, two of attention, one of quality, two of needles, two of costs; one cell draws each."""


def test_outputs_are_not_committed() -> None:
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.exhaustive
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("matplotlib")
    executed = tmp_path / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", str(NOTEBOOK), f"--output={executed}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JUPYTER_PLATFORM_DIRS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [
        output
        for cell in json.loads(executed.read_text("utf-8"))["cells"]
        for output in cell.get("outputs", [])
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES
    told = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert "the same answer: True" in told
    followed = re.findall(r"(\d{5}) -> (.+)  (right|wrong), compressed", told)
    assert len(followed) == 3
    assert all((new == answer) == (verdict == "right") for new, answer, verdict in followed)
