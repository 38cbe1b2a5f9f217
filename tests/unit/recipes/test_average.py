"""The mean of stages: every weight, gists too, and only of models of one shape."""

from __future__ import annotations

import copy
import runpy
import sys
from pathlib import Path

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.model import checkpoint
from dnsity.model.gist_lm import GistLM
from dnsity.training.pretrain import Architecture, new_base
from tiny import tiny_tokenizer

SCRIPT = Path(__file__).parents[3] / "recipes" / "mini" / "average.py"
average = runpy.run_path(str(SCRIPT))["average"]


def stage(seed: int, hidden: int = 32, gists: int = 4) -> GistLM:
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    shape = Architecture(vocabulary=len(tokenizer), hidden=hidden, layers=2, heads=2, kv_heads=2)
    base = new_base(shape, tokenizer.eos_token_id)
    for weight in base.parameters():
        torch.nn.init.normal_(weight)
    return GistLM(base, GistSpec(gists=gists, scope="full"))


def test_every_weight_is_the_mean() -> None:
    models = [stage(seed) for seed in range(3)]
    before = [copy.deepcopy(model.state_dict()) for model in models]
    after = average(models).state_dict()
    for name, weight in after.items():
        wanted = sum(state[name] for state in before) / 3
        assert not torch.equal(weight, before[0][name])
        torch.testing.assert_close(weight, wanted)


def test_one_model_stays_as_it_is() -> None:
    model = stage(0)
    before = copy.deepcopy(model.state_dict())
    torch.testing.assert_close(average([model, stage(0)]).state_dict(), before)


@pytest.mark.parametrize("other", [{"hidden": 64}, {"gists": 5}])
def test_other_shapes_are_refused(other: dict[str, int]) -> None:
    with pytest.raises(BadInputError, match="model 3 has other weights"):
        average([stage(0), stage(1), stage(2, **other)])


def test_the_mean_is_written_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, names = [stage(0), stage(1)], [str(tmp_path / "a"), str(tmp_path / "b")]
    for model, name in zip(models, names, strict=True):
        checkpoint.save(model, tiny_tokenizer(), Path(name), base_name="", card="A card.")
    target = tmp_path / "mean"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(target), *names])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    saved, _, _ = checkpoint.load(str(target))
    wanted = average(models)
    # Weights are stored in bfloat16, which keeps eight bits.
    for name, weight in wanted.state_dict().items():
        torch.testing.assert_close(saved.state_dict()[name], weight, rtol=2**-8, atol=0)
