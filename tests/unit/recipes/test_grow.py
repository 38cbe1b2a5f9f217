"""A larger model from a trained one: it answers as before, and its new weights are trained."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.model import checkpoint
from dnsity.model.gist_lm import GistLM
from dnsity.training.pretrain import Architecture, new_base
from tiny import tiny_gist_model, tiny_tokenizer

SCRIPT = Path(__file__).parents[3] / "recipes" / "mini" / "grow.py"
grow = runpy.run_path(str(SCRIPT))
deepen, widen = grow["deepen"], grow["widen"]


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


def test_wider_heads_keep_the_pairs_they_had() -> None:
    shape = Architecture(vocabulary=300, hidden=64, layers=2, heads=2, kv_heads=2)
    base = new_base(shape, 0)
    wide = widen(base, None)
    assert wide.config.head_dim == 2 * base.config.head_dim
    usual = base.model.rotary_emb.inv_freq
    torch.testing.assert_close(wide.model.rotary_emb.inv_freq[::2], usual)
    ids = torch.arange(40)[None]
    before = base(ids).logits
    change = (wide(ids).logits - before).norm()
    other = (new_base(shape, 0)(ids).logits - before).norm()
    assert 0 < change < other / 3  # near the old answers, not near any others


def test_slow_pairs_do_not_rotate_and_fast_ones_rotate_as_before() -> None:
    usual, still = (
        Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=300, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
                num_attention_heads=2, num_key_value_heads=2, head_dim=32,
                max_position_embeddings=8192, rope_parameters=grow["rope"](100_000.0, beyond),
            )
        ).model.rotary_emb.inv_freq
        for beyond in (None, 1024)
    )  # fmt: skip
    wavelength = 2 * torch.pi / usual
    fast, slow = wavelength < 1024 / 4, wavelength > 1024
    assert 0 < int(fast.sum()) < int((~slow).sum()) < len(usual)
    torch.testing.assert_close(still[fast], usual[fast])
    turned = still[slow] * 8192  # over the longest document, in radians
    assert float(turned.max()) < 0.1


def test_other_heads_are_refused() -> None:
    with pytest.raises(BadInputError, match="llama"):
        widen(tiny_gist_model().loaded.lm.base, None)


def test_a_larger_model_is_written_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny_tokenizer()
    shape = Architecture(vocabulary=len(tokenizer), hidden=32, layers=2, heads=2, kv_heads=2)
    lm = GistLM(new_base(shape, tokenizer.eos_token_id), GistSpec(gists=4, scope="full"))
    source, target = tmp_path / "model", tmp_path / "larger"
    checkpoint.save(lm, tokenizer, source, base_name="", card="A card.")
    asked = ["--after", "0", "--still-beyond", "64"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(source), str(target), *asked])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    model, _, _ = checkpoint.load(str(target))
    assert (len(model.base.model.layers), model.base.config.head_dim) == (3, 32)
    torch.testing.assert_close(model.gist_rows, lm.gist_rows)
    model.train().requires_grad_(True)
    keys = model.compress(torch.arange(20)[None])
    assert len(keys) == 3
    keys[-1][1].sum().backward()
    assert (model.base.model.layers[1].self_attn.q_proj.weight.grad.abs() > 0).all()
