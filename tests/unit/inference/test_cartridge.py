"""Gists as PEFT adapters: PEFT's own loader gives the same logits as dnsity."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from dnsity.errors import BadInputError, DamagedFileError
from dnsity.inference import cartridge
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods.select import Select
from support import assert_same, gap, tiny_base
from templates import WITH_SYSTEM, chat_tokenizer
from tiny import DOCUMENT, tiny_base_model, tiny_gist_model


@pytest.mark.parametrize("family", ["llama", "qwen3-tied", "gemma3"])
def test_peft_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    model = tiny_base_model(family)
    base = model.loaded.lm.base
    gist = model.compress(DOCUMENT, method=Select(gists=6, even=True))
    cartridge.export(gist, tmp_path / "adapter", "tiny-base")
    ids = torch.tensor([model.loaded.encoder.encode("When does the office open?")])
    with torch.no_grad():
        ours = model.loaded.lm.answer(gist.layers, ids)
        plain = base(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
        theirs = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert_same(theirs, ours, "logits")
    assert gap(plain, ours) > 1e-2


def test_a_chat_gist_is_exported_with_the_head(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer("cl100k", WITH_SYSTEM)
    base = tiny_base("llama", vocab_size=len(tokenizer), max_position_embeddings=512)
    model = GistModel.from_base(base, tokenizer)
    gist = model.compress(DOCUMENT, method=Select(gists=6, even=True))
    head = model.loaded.head
    assert head is not None
    assert gist.info.n_head == head[0][0].shape[2] > 0
    with pytest.raises(BadInputError, match="load the model it was made with"):
        cartridge.export(gist, tmp_path / "adapter", "tiny-base")
    cartridge.export(gist, tmp_path / "adapter", "tiny-base", head)
    ids = torch.tensor([model.loaded.frame.question("When does the office open?")])
    with torch.no_grad():
        ours = model.loaded.lm.answer(model.loaded.after_head(gist.layers), ids)
        adapted = PeftModel.from_pretrained(base, str(tmp_path / "adapter")).eval()
        theirs = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    assert_same(theirs, ours, "logits")
    before = gist.save(tmp_path / "a.gist.safetensors").read_bytes()
    back = cartridge.read(tmp_path / "adapter").save(tmp_path / "b.gist.safetensors")
    assert back.read_bytes() == before


def test_there_and_back_is_the_same_file(tmp_path: Path) -> None:
    model = tiny_gist_model()
    before = model.compress(DOCUMENT).save(tmp_path / "a.gist.safetensors")
    cartridge.export(GistCache.load(before), tmp_path / "adapter", "tiny-base")
    after = cartridge.read(tmp_path / "adapter").save(tmp_path / "b.gist.safetensors")
    assert after.read_bytes() == before.read_bytes()


def test_layers_of_different_shapes_are_refused(tmp_path: Path) -> None:
    gist = tiny_gist_model().compress(DOCUMENT)
    keys, values = gist.layers[0]
    narrow = GistCache(((keys, values[..., :4]), *gist.layers[1:]), gist.info)
    with pytest.raises(BadInputError, match="shapes"):
        cartridge.export(narrow, tmp_path / "adapter", "tiny-base")
    assert not (tmp_path / "adapter").exists()


def test_what_is_no_such_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no gist as a CARTRIDGE adapter"):
        cartridge.read(tmp_path)
    (tmp_path / "file").write_text("a file, no directory")
    gist = tiny_gist_model().compress(DOCUMENT)
    with pytest.raises(BadInputError, match="--peft"):
        cartridge.export(gist, tmp_path / "file", "tiny-base")
    directory = cartridge.export(gist, tmp_path / "adapter", "tiny-base")
    weights = directory / "adapter_model.safetensors"
    flat = load_file(weights)["prompt_embeddings"]
    for wrong in (flat[1:], flat / 0):
        save_file({"prompt_embeddings": wrong.contiguous()}, weights)
        with pytest.raises(DamagedFileError, match="export the gist again"):
            cartridge.read(directory)
    weights.write_bytes(b"nothing")
    with pytest.raises(BadInputError, match="CARTRIDGE"):
        cartridge.read(directory)
