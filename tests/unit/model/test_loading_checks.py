"""Bases that would load as another model than the stored one are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model.base import load_base
from dnsity.model.gist_lm import GistLM
from support import assert_same, gap, tiny_base
from tiny import tiny_tokenizer


def _model(family: str = "llama", rows: int | None = None, **config: Any) -> PreTrainedModel:
    end = tiny_tokenizer().eos_token_id
    fields = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": end}
    return tiny_base(family, vocab_size=rows or len(tiny_tokenizer()), **{**fields, **config})


def _write(
    folder: Path, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None
) -> str:
    base.save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return str(folder)


def _configure(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# Stored tensors that the config has no place for


@pytest.mark.parametrize(
    ("family", "stored", "said", "named"),
    [
        ("llama", {}, {"num_hidden_layers": 2}, r"model\.layers\.2\."),
        ("llama", {"attention_bias": True}, {"attention_bias": False}, r"q_proj\.bias"),
        ("llama", {"mlp_bias": True}, {"mlp_bias": False}, r"up_proj\.bias"),
        ("qwen3-untied", {}, {"model_type": "llama", "architectures": None}, r"k_norm\.weight"),
        ("qwen2", {}, {"model_type": "llama", "architectures": None}, r"k_proj\.bias"),
    ],
    ids=["layers", "biases", "MLP biases", "norms of another architecture", "biases of another"],
)
def test_tensors_without_a_place_are_refused_and_named(
    tmp_path: Path, family: str, stored: dict[str, Any], said: dict[str, Any], named: str
) -> None:
    name = _write(tmp_path, _model(family, **stored))
    load_base(name)
    _configure(tmp_path, **said)
    with pytest.raises(BadInputError, match=rf"stored tensors that its config.*{named}") as caught:
        GistModel.from_base(name)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInputError, match="stored tensors"):
        GistLM(load_base(name)[0], GistSpec(scope="full"))


def test_any_other_tensor_is_refused_too(tmp_path: Path) -> None:
    name = _write(tmp_path, _model())
    _tensors(tmp_path, lambda t: t.update({"score.weight": torch.ones(2)}))
    with pytest.raises(BadInputError, match=r"1 stored tensors .*score\.weight"):
        GistModel.from_base(name)


def test_what_every_model_computes_by_itself_may_be_stored(tmp_path: Path) -> None:
    """Older checkpoints have the rotation's table in every layer."""
    name = _write(tmp_path, _model())
    before = load_base(name)[0]
    table = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(4) for n in range(3)}
    _tensors(tmp_path, lambda t: t.update(table))
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        assert torch.equal(load_base(name)[0](ids).logits, before(ids).logits)


@pytest.mark.parametrize("same", [True, False])
def test_a_head_stored_beside_a_tied_embedding_is_used(tmp_path: Path, same: bool) -> None:
    base = _model("qwen3-untied")
    if same:
        base.lm_head.weight = base.model.embed_tokens.weight
        base.config.tie_word_embeddings = True
    name = _write(tmp_path, base)
    embedding = base.model.embed_tokens.weight.detach().clone()
    if same:
        _tensors(tmp_path, lambda t: t.update({"lm_head.weight": embedding}))
    _configure(tmp_path, tie_word_embeddings=True)
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        assert torch.equal(load_base(name)[0](ids).logits, base(ids).logits)


def test_layers_of_a_gguf_file_without_a_place_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = pytest.importorskip("gguf")
    from tiny_gguf import write_gguf

    load_base(str(write_gguf(tmp_path / "whole.gguf")))
    add = gguf.GGUFWriter.add_block_count
    monkeypatch.setattr(gguf.GGUFWriter, "add_block_count", lambda own, n: add(own, n - 1))
    path = write_gguf(tmp_path / "short.gguf")
    with pytest.raises(BadInputError, match=r"stored tensors .*blk\.2\.attn_k\.weight"):
        GistModel.from_base(path)


# Adapters


def _adapter(folder: Path, base: PreTrainedModel, target: str = "q_proj") -> Any:
    from peft import get_peft_model

    lora = LoraConfig(r=2, target_modules=[target], init_lora_weights=False)
    wrapped = get_peft_model(base, lora)
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)
    return wrapped


def _logits(base: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = base(torch.arange(3, 30)[None]).logits
    return found


def test_an_adapter_beside_a_base_is_merged(tmp_path: Path) -> None:
    """As transformers applies it; and it is in the weights, where nothing can lose it."""
    name = _write(tmp_path, _model())
    before = GistModel.from_base(name).loaded
    _adapter(tmp_path, _model())
    base, _ = load_base(name)
    plain = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
    assert_same(_logits(base), _logits(plain), "logits")
    assert gap(_logits(base), _logits(before.lm.base)) > 1e-2
    assert base.name_or_path == name
    assert not any("lora" in key for key, _ in base.named_parameters())
    own = LoraConfig(r=2, target_modules=["q_proj"])
    lm = GistLM(base, GistSpec(gists=4, window_tokens=64, scope="document"), lora=own).eval()
    with torch.no_grad():
        assert_same(lm.answer(None, torch.arange(3, 30)[None]), _logits(plain), "logits")
    after = GistModel.from_base(name).loaded
    assert after.differences(before.fingerprints) == ["weights"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda folder: _configured(folder, peft_type="IA3"), "IA3.*merge_and_unload"),
        (lambda folder: _configured(folder, r=1), "cannot be merged"),
        (lambda folder: _configured(folder, r=10**8), "its settings have rank 100000000"),
        (lambda folder: _configured(folder, target_modules="(q|k)_proj"), "the pattern"),
        (lambda folder: _configured(folder, rank_pattern={"(a+)+": 2}), "the pattern"),
        (lambda folder: _foreign_tensor(folder), r"the tensor .*up_proj\.weight"),
        (lambda folder: _configured(folder, target_modules=["k_proj"]), "does not fit the base"),
        (lambda folder: _configured(folder, target_modules=["x_proj"]), "cannot be merged"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "unreadable"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"no"), "cannot be"),
        (
            lambda folder: (folder / "adapter_model.safetensors").rename(
                folder / "adapter_model.bin"
            ),
            "in safetensors",
        ),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(
    change: Callable[[Path], Any], match: str, tmp_path: Path
) -> None:
    name = _write(tmp_path, _model())
    _adapter(tmp_path, _model())
    change(tmp_path)
    for load in (load_base, GistModel.from_base):
        with pytest.raises(BadInputError, match=match):
            load(name)


def _foreign_tensor(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    name = "base_model.model.model.layers.1.mlp.up_proj.weight"
    save_file({**load_file(path), name: torch.zeros(48, 32)}, path)


@pytest.mark.filterwarnings("ignore::UserWarning:peft")
@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_shared_embedding_takes_no_adapter(tmp_path: Path, target: str, tied: bool) -> None:
    family = "qwen3-tied" if tied else "qwen3-untied"
    name = _write(tmp_path, _model(family))
    _adapter(tmp_path, _model(family), target)
    if tied:
        with pytest.raises(BadInputError, match="shares between input and output"):
            load_base(name)
    else:
        plain = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
        assert_same(_logits(load_base(name)[0]), _logits(plain), "logits")


def _configured(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_an_adapter_alone_is_refused_with_what_to_do(tmp_path: Path) -> None:
    _adapter(tmp_path, _model())
    with pytest.raises(BadInputError, match="Merge it into its base"):
        load_base(str(tmp_path))


def test_an_adapter_beside_a_gguf_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from tiny_gguf import write_gguf

    path = write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(BadInputError, match="contains a PEFT adapter"):
        load_base(str(path))


def test_an_adapter_inside_a_model_in_memory_is_refused_until_merged(tmp_path: Path) -> None:
    wrapped = _adapter(tmp_path, _model())
    with pytest.raises(BadInputError, match="has a PEFT adapter in its layers"):
        GistModel.from_base(wrapped.base_model.model, tiny_tokenizer())
    GistModel.from_base(wrapped.merge_and_unload(), tiny_tokenizer())


# Tokenizers of another size


def _longer() -> PreTrainedTokenizerBase:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|done|>"})
    return tokenizer


def _with_word() -> PreTrainedTokenizerBase:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["harbour"])
    return tokenizer


def _with_padding() -> PreTrainedTokenizerBase:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    return tokenizer


@pytest.mark.parametrize("make", [_longer, _with_word, _with_padding])
def test_tokens_beyond_the_embedding_are_refused(
    tmp_path: Path, make: Callable[[], PreTrainedTokenizerBase]
) -> None:
    tokenizer = make()
    name = _write(tmp_path, _model(), tokenizer)
    for load in (lambda: load_base(name), lambda: GistModel.from_base(_model(), tokenizer)):
        with pytest.raises(UnsupportedModelError, match=r"1 tokens beyond the 401 rows.*is 401"):
            load()
    GistModel.from_base(_model(rows=402), tokenizer)


def _with_marker(template: str | None) -> PreTrainedTokenizerBase:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = template
    return tokenizer


def test_a_special_token_beyond_that_nobody_writes_is_harmless() -> None:
    """Some tokenizer classes add one by themselves (Qwen2's unknown token)."""
    tokenizer = _with_marker(None)
    model = GistModel.from_base(_model(), tokenizer)
    assert max(model.loaded.encoder.encode("A <|turn|> in a text.")) < len(tiny_tokenizer())


def test_a_template_that_writes_one_is_refused() -> None:
    template = "{% for m in messages %}<|turn|>{{ m.content }}{% endfor %}"
    with pytest.raises(UnsupportedModelError, match="1 tokens beyond the 401 rows"):
        GistModel.from_base(_model(), _with_marker(template))
    lm = GistLM(_model(), GistSpec(scope="full", question_template="<|turn|>{question}"))
    with pytest.raises(UnsupportedModelError, match=r"template has token 401.*401 rows"):
        _ = LoadedModel(lm, _with_marker(None), "tiny", "tiny").frame


def test_a_vocabulary_that_is_too_small_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="1 tokens beyond the 400 rows"):
        GistModel.from_base(_model(rows=400), tiny_tokenizer())


def test_an_end_beyond_the_embedding_is_refused(tmp_path: Path) -> None:
    base = _model(eos_token_id=[0, 401])
    for load in (
        lambda: load_base(_write(tmp_path, base)),
        lambda: GistModel.from_base(base, tiny_tokenizer()),
    ):
        with pytest.raises(UnsupportedModelError, match=r"declares end token 401.*401 rows"):
            load()


def test_a_gguf_tokenizer_beyond_the_embedding_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = pytest.importorskip("gguf")
    from tiny_gguf import write_gguf

    add = gguf.GGUFWriter.add_token_list
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_token_list", lambda own, tokens: add(own, [*tokens, "<more>"])
    )
    types = gguf.GGUFWriter.add_token_types
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_token_types", lambda own, kinds: types(own, [*kinds, kinds[-1]])
    )
    with pytest.raises(BadInputError):
        load_base(str(write_gguf(tmp_path / "more.gguf")))
