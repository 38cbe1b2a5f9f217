"""The smoke configuration, from the command line to the answer of a saved gist model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from dnsity.inference.gist_model import GistModel

ROOT = Path(__file__).resolve().parents[2]


def test_the_smoke_run_learns_what_the_base_alone_cannot_do(tmp_path: Path) -> None:
    config = "experiments/configs/smoke.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "dnsity", "train", "--config", config, "--output-dir", str(tmp_path),
         "--json", "--set", "training.steps=20"],  # half of the run: 26 s of one core
        cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    probe = result["probe"]
    assert probe["none"] == 0  # chance: five digits out of nothing
    assert probe["gist"] > 0.3  # measured: 83% after 20 steps, 96% after 28
    assert "parameters" in done.stderr  # what it takes is said before
    assert "gist=" in done.stderr  # and how it goes meanwhile
    model = GistModel.from_pretrained(result["model"])
    assert model.loaded.base_name.endswith("mini/base")
    assert json.loads((tmp_path / "model" / "gist_config.json").read_text())["base_model"] == "mini"
    gist = model.compress("The grass is green. The passkey is 48213. The sky is blue. "
                          "Here we go. There and back again. " * 6)  # fmt: skip
    assert model.ask(gist, "What is the passkey?").text.isdigit()
