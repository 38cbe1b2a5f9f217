"""Bases in 4 bit: they train, come back, and are never taken for the original."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dnsity.errors import BadInputError, GistMismatchError
from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.refine import Refine
from dnsity.model import checkpoint
from dnsity.model.base import Quantization, load_base
from dnsity.model.fingerprint import describe_base, fingerprints
from dnsity.model.gist_lm import GistLM
from support import gradients_of, random_ids, tiny_base
from tiny import CARD, DOCUMENT, QUESTIONS, save, tiny_gist_model, tiny_tokenizer

SHORT = Sampling(max_new_tokens=6)


@pytest.fixture(scope="module")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base in bfloat16, as most are stored; its matrices are whole blocks of 64 values."""
    directory = tmp_path_factory.mktemp("base")
    tokenizer = tiny_tokenizer()
    base: Any = tiny_base(
        "llama",
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        head_dim=16,
        bos_token_id=None,
        eos_token_id=0,
    )
    base.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def _model(
    base_directory: Path, quantization: Quantization | None, dtype: torch.dtype = torch.float32
) -> GistModel:
    """A model of scope `document` whose adapter is at its start: B is zero."""
    from peft import LoraConfig

    torch.manual_seed(0)
    base, tokenizer = load_base(str(base_directory), dtype=dtype, quantization=quantization)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    lm = GistLM(base, GistSpec(gists=4, window_tokens=64, scope="document"), lora=lora).eval()
    return GistModel(LoadedModel(lm, tokenizer, "tiny", str(base_directory)))


def _train(lm: GistLM, steps: int = 5) -> list[float]:
    """Train on one batch; returns the losses, and leaves the last step's gradients."""
    document, text = random_ids(2, 40), random_ids(2, 8, seed=1)
    optimizer = torch.optim.AdamW([p for p in lm.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        logits = lm.answer(lm.compress(document), text[:, :-1])
        loss = cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses


def _saved(model: GistModel, directory: Path) -> Path:
    loaded = model.loaded
    checkpoint.save(loaded.lm, loaded.tokenizer, directory, base_name=loaded.base_name, card=CARD)
    return directory


def _logits(lm: GistLM) -> Tensor:
    """Answer from gists without gradients, as inference does."""
    with torch.no_grad():
        return lm.answer(lm.compress(random_ids(1, 40)), random_ids(1, 8, seed=1))


@pytest.fixture(scope="module")
def trained(base_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model on an NF4 base; tests do not change it."""
    model = _model(base_directory, "nf4")
    _train(model.loaded.lm)
    return _saved(model, tmp_path_factory.mktemp("trained") / "model")


def _edited(directory: Path, target: Path, **values: Any) -> Path:
    """Copy a model and change its configuration."""
    path = shutil.copytree(directory, target) / "gist_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return target


# Training


@pytest.mark.parametrize("asked_before", [False, True])
def test_adapter_and_rows_train_and_the_base_stays(
    base_directory: Path, asked_before: bool
) -> None:
    lm = _model(base_directory, "nf4").loaded.lm
    assert lm.base.dtype == lm.gist_rows.dtype == torch.float32
    codes = [p for p in lm.parameters() if p.dtype == torch.uint8]
    assert len(codes) == 3 * 7  # every linear layer, not the head
    if asked_before:  # on some CPUs bitsandbytes would repack the weights now, and pass no gradient
        _logits(lm)
    frozen = {n: p.detach().clone() for n, p in lm.named_parameters() if not p.requires_grad}
    trainable = {n for n, p in lm.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name == "gist_rows" for name in trainable)

    losses = _train(lm, steps=1)
    gradients = gradients_of(lm)
    without = {name for name in trainable if not gradients[name].any()}
    assert without == {name for name in trainable if "lora_A" in name}  # B is still zero
    losses += _train(lm)
    gradients = gradients_of(lm)
    assert gradients.keys() == trainable
    assert all(gradient.any() for gradient in gradients.values())
    assert losses[-1] < 0.9 * losses[0], losses
    for name, parameter in lm.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), name


def test_quantised_numbers_are_near_the_original_but_not_the_same(base_directory: Path) -> None:
    original, quantised = (
        _logits(_model(base_directory, quantization).loaded.lm) for quantization in (None, "nf4")
    )
    assert not torch.equal(original, quantised)
    alike = torch.cosine_similarity(original.flatten(), quantised.flatten(), dim=0)
    assert alike > 0.5  # 0.71 here; about 0 for another base


# On disk


def test_a_quantised_model_comes_back(trained: Path) -> None:
    assert checkpoint.read_config(trained).quantization == "nf4"
    one, other = (GistModel.from_pretrained(trained) for _ in range(2))
    assert describe_base(one.loaded.lm)["quantization"] == "nf4"
    assert torch.equal(_logits(one.loaded.lm), _logits(other.loaded.lm))
    gist = one.compress(DOCUMENT)
    assert other.ask(gist, QUESTIONS[0], SHORT).text == one.ask(gist, QUESTIONS[0], SHORT).text


def test_what_is_trained_is_what_is_loaded(base_directory: Path, tmp_path: Path) -> None:
    model = _model(base_directory, "nf4")
    _train(model.loaded.lm)
    expected = _logits(model.loaded.lm)
    loaded, _, _ = checkpoint.load(str(_saved(model, tmp_path / "model")))
    assert torch.equal(_logits(loaded), expected)


def test_a_base_stored_in_4_bit_is_the_same_base(base_directory: Path, tmp_path: Path) -> None:
    """Its own compute type, here bfloat16, does not matter."""
    base, tokenizer = load_base(str(base_directory), dtype=torch.bfloat16, quantization="nf4")
    base.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    expected = _model(base_directory, "nf4")
    for quantization in (None, "nf4"):
        stored = _model(tmp_path / "base", quantization)
        assert torch.equal(_logits(stored.loaded.lm), _logits(expected.loaded.lm))
        assert stored.loaded.fingerprints == expected.loaded.fingerprints
    loaded, _, _ = checkpoint.load(str(_saved(stored, tmp_path / "model")))
    assert torch.equal(_logits(loaded), _logits(expected.loaded.lm))


# Identity


def test_neither_use_nor_compute_type_changes_the_identity(base_directory: Path) -> None:
    model = _model(base_directory, "nf4")
    before = fingerprints(model.loaded.lm, model.loaded.tokenizer)
    model.ask(model.compress(DOCUMENT), QUESTIONS[0], SHORT)
    assert fingerprints(model.loaded.lm, model.loaded.tokenizer) == before
    assert _model(base_directory, "nf4", torch.bfloat16).loaded.fingerprints == before


def test_gists_are_not_taken_from_one_to_the_other(trained: Path, tmp_path: Path) -> None:
    quantised = GistModel.from_pretrained(trained)
    original = GistModel.from_pretrained(_edited(trained, tmp_path / "m", quantization=None))
    for maker, user in ((quantised, original), (original, quantised)):
        gist = maker.compress(DOCUMENT)
        assert maker.ask(gist, QUESTIONS[0], SHORT).text is not None
        with pytest.raises(GistMismatchError, match=r"differs from .* in: quantization, weights\."):
            user.ask(gist, QUESTIONS[0], SHORT)


# What cannot be


def test_all_weights_cannot_be_trained_in_4_bit(base_directory: Path, tmp_path: Path) -> None:
    base, _ = load_base(str(base_directory), quantization="nf4")
    says = "scope 'full' trains all weights, .* quantised as nf4 .* use scope 'document'"
    with pytest.raises(BadInputError, match=says):
        GistLM(base, GistSpec(gists=4, scope="full"))
    full = save(tiny_gist_model(), tmp_path / "full")
    with pytest.raises(BadInputError, match=says):
        checkpoint.load(str(_edited(full, tmp_path / "edited", quantization="nf4")))


def test_a_base_is_not_quantised_twice(base_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(base_directory, tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    stored = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": stored}))
    with pytest.raises(BadInputError, match="stored quantised as int8, not as nf4; omit"):
        load_base(str(tmp_path / "base"), quantization="nf4")


def test_a_missing_bitsandbytes_is_explained(
    base_directory: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # what `import` takes as not there
    for load in (
        lambda: load_base(str(base_directory), quantization="nf4"),
        lambda: checkpoint.load(str(trained)),
    ):
        with pytest.raises(BadInputError, match=r"pip install dnsity\[quant\]"):
            load()
    assert load_base(str(base_directory))[0].dtype == torch.float32  # which needs none


def test_an_unknown_quantisation_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gist_config\.json.*quantization: .*'nf4'"):
        checkpoint.load(str(_edited(trained, tmp_path / "m", quantization="int3")))


@pytest.mark.parametrize(
    ("quantization", "dtype"), [("nf4", torch.float32), (None, torch.bfloat16)]
)
def test_a_plain_base_serves_methods_that_need_no_gists(
    base_directory: Path, tmp_path: Path, quantization: Quantization | None, dtype: torch.dtype
) -> None:
    model = GistModel.from_base(base_directory, dtype=dtype, quantization=quantization)
    text = DOCUMENT * 4
    refined = model.compress(
        text, method=Refine(gists=4, steps=30, rows=16, rows_per_step=8, learning_rate=0.2)
    )
    assert refined.info.settings["loss_after"] < refined.info.settings["loss_before"]
    assert refined.info.base["quantization"] == quantization
    for gist in (refined, model.compress(text, method="select")):
        assert gist.layers[0][0].dtype == dtype
        read = GistCache.load(gist.save(tmp_path / "a.gist.safetensors"))
        assert [a.text for a in model.ask(read, QUESTIONS, SHORT)] == [
            a.text for a in model.ask(gist, QUESTIONS, SHORT)
        ]
