"""`GistModel.from_base`: a model in memory is used without being changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods import Refine, Select
from support import tiny_base, tiny_hybrid
from tiny import LONG_DOCUMENT, POSITIONS, QUESTIONS, save, tiny_gist_model, tiny_tokenizer


def _loaded(**config: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = tiny_tokenizer()
    end = tokenizer.eos_token_id
    shape = {"max_position_embeddings": POSITIONS, "bos_token_id": None, "pad_token_id": end}
    base = tiny_base("llama", vocab_size=len(tokenizer), **{"eos_token_id": end, **shape, **config})
    return base, tokenizer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    base, tokenizer = _loaded()
    base.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _answer(model: GistModel) -> str:
    return model.ask(model.compress(LONG_DOCUMENT, method=Select(gists=16)), QUESTIONS[0]).text


def test_a_model_in_memory_is_the_model_on_disk(directory: Path) -> None:
    base, tokenizer = _loaded()
    one, other = GistModel.from_base(base, tokenizer), GistModel.from_base(directory)
    assert one.loaded.fingerprints == other.loaded.fingerprints
    assert _answer(one) == _answer(other)
    assert not one.loaded.trained


def test_the_callers_model_stays_as_it_is() -> None:
    base, tokenizer = _loaded()
    base.train()
    base.lm_head.weight.requires_grad_(False)
    base.generation_config = GenerationConfig(num_beams=3, eos_token_id=[3, 7])
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    model = GistModel.from_base(base, tokenizer)
    model.compress(LONG_DOCUMENT, method=Refine(gists=4, minutes=0.1, steps=4))
    _answer(model)
    assert all(module.training for module in base.modules())
    frozen = [name for name, weight in base.named_parameters() if not weight.requires_grad]
    assert frozen == ["lm_head.weight"]
    assert base.generation_config.num_beams == 3
    assert base.config._attn_implementation == "sdpa"
    after = base.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(weight.grad is None for weight in base.parameters())


def test_its_weights_take_no_further_memory() -> None:
    base, tokenizer = _loaded()
    own = GistModel.from_base(base, tokenizer).loaded.lm.base
    assert own is not base
    assert not own.training
    for name, weight in base.named_parameters():
        assert own.get_parameter(name) is weight


def test_all_its_ends_are_declared() -> None:
    base, tokenizer = _loaded(eos_token_id=[5, 3])
    base.generation_config = GenerationConfig(num_beams=3, eos_token_id=7)
    own = GistModel.from_base(base, tokenizer).loaded.lm.base
    assert own.generation_config.eos_token_id == [3, 5, 7]
    assert own.generation_config.num_beams in (None, 1)


def test_an_end_in_the_stored_generation_config_is_declared(tmp_path: Path) -> None:
    base, tokenizer = _loaded()
    base.generation_config = GenerationConfig(eos_token_id=[7, 3], max_new_tokens=1)
    base.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = GistModel.from_base(tmp_path)
    declared = model.loaded.lm.base.generation_config
    assert declared.eos_token_id == sorted({3, 7, tokenizer.eos_token_id})
    assert declared.max_new_tokens is None
    model.save_pretrained(tmp_path / "gists")  # and they are written again
    again = GistModel.from_pretrained(tmp_path / "gists").loaded.lm.base
    assert again.generation_config.eos_token_id == declared.eos_token_id


def test_a_model_and_its_tokenizer_come_together(directory: Path) -> None:
    base, tokenizer = _loaded()
    with pytest.raises(BadInputError, match="no tokenizer with a model in memory"):
        GistModel.from_base(base)
    with pytest.raises(BadInputError, match="a str with a model in memory"):
        GistModel.from_base(base, "tokenizer")  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="which includes its own"):
        GistModel.from_base(directory, tokenizer)
    with pytest.raises(BadInputError, match="found a Linear as model"):
        GistModel.from_base(torch.nn.Linear(1, 1), tokenizer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "option", [{"device": "cpu"}, {"dtype": "auto"}, {"device_map": "cpu"}, {"revision": "main"}],
    ids=str,
)  # fmt: skip
def test_options_of_loading_are_refused_with_a_model_in_memory(option: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=f"{min(option)} given with a model in memory"):
        GistModel.from_base(*_loaded(), **option)


def test_other_attention_and_unfit_models_are_refused() -> None:
    base, tokenizer = _loaded()
    base.config._attn_implementation = "flex_attention"
    with pytest.raises(UnsupportedModelError, match=r"'flex_attention'; allowed are eager, sdpa"):
        GistModel.from_base(base, tokenizer)
    with pytest.raises(UnsupportedModelError, match="carry the document past"):
        GistModel.from_base(tiny_hybrid(), tokenizer)


def test_eager_attention_is_kept() -> None:
    base, tokenizer = _loaded()
    base.set_attn_implementation("eager")
    model = GistModel.from_base(base, tokenizer)
    assert model.loaded.lm.base.config._attn_implementation == "eager"
    assert _answer(model) == _answer(GistModel.from_base(*_loaded()))


# By name


@pytest.mark.parametrize(
    ("dtype", "found"),
    [("bfloat16", torch.bfloat16), (torch.float16, torch.float16), ("auto", torch.bfloat16)],
)
def test_types_are_given_by_object_name_or_auto(
    tmp_path: Path, dtype: Any, found: torch.dtype
) -> None:
    base, tokenizer = _loaded()
    base.to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert GistModel.from_base(tmp_path, dtype=dtype).loaded.lm.base.dtype == found


@pytest.mark.parametrize("dtype", ["int8", "nonsense", torch.int8], ids=str)
def test_other_types_are_refused(directory: Path, dtype: Any) -> None:
    with pytest.raises(BadInputError, match="computes in float32, bfloat16 or float16"):
        GistModel.from_base(directory, dtype=dtype)


def test_a_device_map_places_the_layers(directory: Path) -> None:
    placed = GistModel.from_base(directory, device_map={"": "cpu"})
    assert _answer(placed) == _answer(GistModel.from_base(directory))
    with pytest.raises(BadInputError, match="give one of them"):
        GistModel.from_base(directory, device="cpu", device_map="auto")


def test_a_gist_model_takes_the_same_options(tmp_path: Path) -> None:
    folder = save(tiny_gist_model(), tmp_path / "model")
    model = GistModel.from_pretrained(folder, dtype="bfloat16", device_map={"": "cpu"})
    assert model.loaded.lm.base.dtype == torch.bfloat16
    with pytest.raises(BadInputError, match="give one of them"):
        GistModel.from_pretrained(folder, device="cpu", device_map="auto")


def test_a_hub_snapshot_of_links_is_a_directory(directory: Path, tmp_path: Path) -> None:
    """As the hub's cache has it: names link to blobs without endings."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(directory.iterdir())):
        (blobs / str(number)).write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blobs / str(number), snapshot))
    one, other = GistModel.from_base(snapshot), GistModel.from_base(directory)
    assert one.loaded.fingerprints == other.loaded.fingerprints


def test_a_revision_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(name: str, **options: Any) -> None:
        asked.append((name, options.get("revision")))
        raise OSError("offline")

    monkeypatch.setattr("dnsity.model.base.PreTrainedConfig.get_config_dict", refuse)
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    for load in (GistModel.from_base, GistModel.from_pretrained):
        with pytest.raises(BadInputError):
            load("someone/model", revision="v1")
    assert asked == [("someone/model", "v1")] * 2
