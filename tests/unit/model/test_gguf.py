"""A base in a GGUF file is the base in its dequantised directory; others are refused in a line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods import Select
from dnsity.model import checkpoint, names
from dnsity.model.base import load_base
from tiny import DOCUMENT, LONG_DOCUMENT

gguf = pytest.importorskip("gguf")
from tiny_gguf import TEMPLATE, tiny_llama, write_gguf  # noqa: E402

REAL = os.environ.get("DNSITY_BASES")
FLOATS = [torch.float32, torch.bfloat16]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf")


@pytest.fixture(scope="module")
def directory(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model dequantised by transformers and saved, as people do it."""
    folder = tmp_path_factory.mktemp("dequantised")
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=plain
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return folder


def _assert_same(one: GistModel, other: GistModel) -> None:
    assert one.loaded.fingerprints == other.loaded.fingerprints
    ids = torch.tensor([one.loaded.encoder.encode(DOCUMENT)])
    with torch.no_grad():
        logits = [model.loaded.lm.base(ids).logits for model in (one, other)]
    assert torch.equal(*logits)
    gist = one.compress(LONG_DOCUMENT, method=Select(gists=16))
    assert (
        other.ask(gist, "What is the passkey?").text == one.ask(gist, "What is the passkey?").text
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_file_and_directory_are_one_model(file: Path, directory: Path, dtype: torch.dtype) -> None:
    one, other = (GistModel.from_base(path, dtype=dtype) for path in (file, directory))
    assert one.loaded.lm.base.dtype == dtype
    _assert_same(one, other)


def test_weights_are_those_that_were_written(tmp_path: Path) -> None:
    """Without quantisation exactly: nothing is rounded, queries and keys are in order again."""
    base, _ = load_base(str(write_gguf(tmp_path / "f32.gguf", quantized=False)))
    original, _ = tiny_llama()
    for name, tensor in original.named_parameters():
        assert torch.equal(base.get_parameter(name), tensor), name


def test_a_folder_with_one_file_is_that_file(file: Path) -> None:
    one, other = (GistModel.from_base(path) for path in (file, file.parent))
    assert one.loaded.fingerprints == other.loaded.fingerprints
    for name in (str(file), str(file.parent)):
        assert checkpoint.is_plain_base(name)
        assert checkpoint.tokenizer_of(name).chat_template == TEMPLATE


def test_the_suffix_of_a_file_in_a_folder_may_be_in_capitals(file: Path, tmp_path: Path) -> None:
    (tmp_path / "MODEL.GGUF").write_bytes(file.read_bytes())
    assert checkpoint.is_plain_base(str(tmp_path))


def test_the_end_of_a_turn_that_a_file_declares_ends_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Llama 3 declares one end of a text and another of a turn."""
    add = gguf.GGUFWriter.add_eos_token_id

    def both(own: gguf.GGUFWriter, end: int) -> None:
        add(own, end)
        own.add_uint32("tokenizer.ggml.eot_token_id", 7)

    monkeypatch.setattr(gguf.GGUFWriter, "add_eos_token_id", both)
    model = GistModel.from_base(write_gguf(tmp_path / "turns.gguf"), frame="plain")
    assert set(model.loaded.end_ids) == {0, 7}


def test_its_stored_type_is_bfloat16_and_its_end_is_declared(file: Path) -> None:
    base, tokenizer = load_base(str(file), dtype="auto")
    assert base.dtype == torch.bfloat16
    assert base.generation_config.eos_token_id == [tokenizer.eos_token_id]


def test_it_cannot_be_quantised_again(file: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be quantised as nf4"):
        load_base(str(file), quantization="nf4")


def test_it_is_no_gist_model(file: Path) -> None:
    with pytest.raises(BadInputError, match="without trained gists"):
        GistModel.from_pretrained(file)


def test_the_package_gguf_is_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dnsity.model.gguf_file.find_spec", lambda name: None)
    with pytest.raises(BadInputError, match=r"pip install dnsity\[gguf\]"):
        load_base(str(file))


def test_the_library_is_left_as_it_was(file: Path) -> None:
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    load_base(str(file))
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before


@pytest.mark.parametrize("kept", [0, 3, 100, 5_000, -64], ids=str)
def test_a_damaged_file_is_refused(file: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BadInputError, match="not a GGUF file or is incomplete") as caught:
        load_base(str(tmp_path / "cut.gguf"))
    assert "\n" not in str(caught.value)


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model" * 100)
    with pytest.raises(BadInputError, match="not a GGUF file"):
        load_base(str(tmp_path / "text.gguf"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    for load in (load_base, checkpoint.is_plain_base, checkpoint.tokenizer_of):
        with pytest.raises(BadInputError, match="no file"):
            load(str(tmp_path / "none.gguf"))


def test_a_part_of_a_split_file_is_refused(file: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"big-0000{number}-of-00002.gguf").write_bytes(file.read_bytes())
    for name in (tmp_path, tmp_path / "big-00002-of-00002.gguf"):
        with pytest.raises(BadInputError, match=r"one part of a split GGUF file.*join"):
            load_base(str(name))


def test_a_folder_with_several_files_is_no_model(file: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(file.read_bytes())
    with pytest.raises(BadInputError, match=r"2 \.gguf files"):
        load_base(str(tmp_path))


def test_an_architecture_unknown_to_transformers_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", architecture="rwkv6")
    with pytest.raises(UnsupportedModelError, match=r"'rwkv6'.*HuggingFace directory"):
        load_base(str(path))


def test_unread_rope_scaling_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", llama__rope__scaling__type="yarn")
    with pytest.raises(UnsupportedModelError, match=r"RoPE scaling \(yarn\)"):
        load_base(str(path))


def test_a_type_that_cannot_be_unpacked_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError("Dequantization for Q8_0 is not yet implemented")

    monkeypatch.setattr("gguf.dequantize", refuse)
    with pytest.raises(BadInputError, match=r"cannot unpack.*type F32, Q8_0"):
        load_base(str(file))


def test_a_type_unknown_to_the_package_is_no_damage(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("99 is not a valid GGMLQuantizationType")

    monkeypatch.setattr("gguf.GGUFReader._build_tensors", refuse)
    with pytest.raises(BadInputError, match=r"99 is not a valid.*pip install -U gguf"):
        load_base(str(file))


def test_an_unfit_architecture_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "dnsity.model.architectures.rope_types", lambda config: frozenset({"dynamic"})
    )
    with pytest.raises(UnsupportedModelError, match="dynamic"):
        load_base(str(file))


@pytest.mark.skipif(REAL is None, reason="needs real bases: DNSITY_BASES=FOLDER")
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"])
def test_a_real_file_and_its_directory_are_one_model(name: str) -> None:
    path = Path(REAL or "") / name
    if not path.exists():
        pytest.skip(f"no {path}")
    one, other = (GistModel.from_base(f"{path}{end}") for end in (".gguf", ""))
    _assert_same(one, other)


@pytest.mark.parametrize("name", ["smollm2"])
def test_a_fetched_name_is_its_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("DNSITY_MODELS", str(tmp_path))
    for ask in (load_base, checkpoint.is_plain_base, checkpoint.tokenizer_of, names.base_path):
        with pytest.raises(BadInputError, match=r"fetch it with `dnsity models --fetch smollm2`"):
            ask(name)
    assert checkpoint.base_named(name) == name
    target = names.DOWNLOADS[name].path
    target.parent.mkdir(parents=True)
    target.write_bytes(file.read_bytes())
    assert checkpoint.is_plain_base(name)
    assert names.base_path(name) == str(target)
    assert checkpoint.tokenizer_of(name).chat_template == TEMPLATE
    model = GistModel.from_base(name)
    assert (model.loaded.name, model.loaded.base_name) == (name, name)
    with pytest.raises(BadInputError, match="without trained gists"):
        checkpoint.find(name)
