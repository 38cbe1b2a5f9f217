"""The script for a GPU, run on the CPU with small settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bench_gpu.py"
SMALL = ("tokens=[128]", "gists=[4]", "batch=2", "stored=2", "new_tokens=2", "repeats=1")


def script(results: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, str(SCRIPT), "--device", "cpu", "--kinds", "float32"),
            *("--results", str(results), "--set", *SMALL, "train_tokens=[]", *more),
        ],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.exhaustive
def test_a_failed_shape_stops_no_other_and_only_what_is_missing_is_run_again(
    tmp_path: Path,
) -> None:
    shapes = ("--shapes", "gpt-9", "mini")
    first = script(tmp_path, *shapes)
    assert first.returncode == 1
    assert "failed: bench_cost_gpt_9_float32.json" in first.stderr
    target = tmp_path / "bench_cost_mini_float32.json"
    assert json.loads(target.read_text("utf-8"))["manifest"]["config"]["tokens"] == [128]
    written = target.stat().st_mtime_ns
    again = script(tmp_path, *shapes)
    assert (again.returncode, target.stat().st_mtime_ns) == (1, written)
    assert f"{target} exists already" in again.stderr
