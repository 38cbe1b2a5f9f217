"""More layers for a trained model: it answers as before, and the new layers can learn."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from dnsity.model import checkpoint
from tiny import tiny_gist_model

SCRIPT = Path(__file__).parents[3] / "scripts" / "deepen.py"
deepen = runpy.run_path(str(SCRIPT))["deepen"]


@pytest.mark.parametrize("after", [[0], [1], [0, 1]])
def test_silent_layers_change_nothing_and_quiet_ones_little(after: list[int]) -> None:
    ids = torch.arange(20)[None]
    base = tiny_gist_model().loaded.lm.base
    before, layers = base(ids).logits, len(base.model.layers)
    deepen(base, after, 0.0)
    assert base.config.num_hidden_layers == len(base.model.layers) == layers + len(after)
    torch.testing.assert_close(base(ids).logits, before)
    quiet, equal = (tiny_gist_model().loaded.lm.base for _ in range(2))
    deepen(quiet, after)
    deepen(equal, after, 1.0)
    change = [(model(ids).logits - before).norm() for model in (quiet, equal)]
    assert 0 < change[0] < change[1]


def test_a_deeper_model_is_written_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_gist_model().loaded
    source, target = tmp_path / "model", tmp_path / "deeper"
    checkpoint.save(loaded.lm, loaded.tokenizer, source, base_name="", card="A card.")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(source), str(target), "--after", "0"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    model, _, _ = checkpoint.load(str(target))
    layers = len(loaded.lm.base.model.layers) + 1
    assert len(model.base.model.layers) == layers
    torch.testing.assert_close(model.gist_rows, loaded.lm.gist_rows)
    keys = model.compress(torch.arange(20)[None])
    assert len(keys) == layers
    keys[-1][1].sum().backward()
    assert model.base.model.layers[1].self_attn.q_proj.weight.grad.abs().max() > 0
