"""A gist model on disk: it comes back as it was, or is refused with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model import checkpoint
from dnsity.model.base import load_base
from dnsity.model.card import model_card
from dnsity.model.fingerprint import fingerprints
from dnsity.model.gist_lm import GistLM
from dnsity.shapes import KeyValues
from support import tiny_base
from tiny import CARD, DOCUMENT, QUESTIONS, save, tiny_gist_model, tiny_tokenizer

SHORT = Sampling(max_new_tokens=6)


def _same(one: KeyValues, other: KeyValues) -> bool:
    return all(
        torch.equal(a, b)
        for layer, reference in zip(one, other, strict=True)
        for a, b in zip(layer, reference, strict=True)
    )


def _assert_same_model(one: GistModel, other: GistModel) -> None:
    assert one.loaded.fingerprints == other.loaded.fingerprints
    gist = one.compress(DOCUMENT)
    assert _same(gist.layers, other.compress(DOCUMENT).layers)
    asked = [m.ask(gist, QUESTIONS[0], SHORT).text for m in (one, other)]
    assert asked[0] == asked[1]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that carries its base; tests work on copies."""
    return save(tiny_gist_model(), tmp_path_factory.mktemp("full") / "model")


def _lora_model(base_directory: Path, scope: str) -> GistModel:
    """A model of which only adapter and gist rows are trained, on a base on disk."""
    from peft import LoraConfig

    base, tokenizer = load_base(str(base_directory))
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    lm = GistLM(base, GistSpec(gists=4, window_tokens=64, scope=scope), lora=lora).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in lm.named_parameters():
            if "lora_B" in name or name == "gist_rows":
                tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
    return GistModel(LoadedModel(lm, tokenizer, "tiny", str(base_directory)))


@pytest.fixture(scope="module")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model with its tokenizer, as transformers saves them."""
    directory = tmp_path_factory.mktemp("base")
    tokenizer = tiny_tokenizer()
    base = tiny_base("llama", vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=0)
    base.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, base_directory: Path) -> Path:
    """A saved model of scope `document`."""
    return _saved(_lora_model(base_directory, "document"), tmp_path_factory.mktemp("lora") / "m")


def _saved(model: GistModel, directory: Path) -> Path:
    loaded = model.loaded
    checkpoint.save(loaded.lm, loaded.tokenizer, directory, base_name=loaded.base_name, card=CARD)
    return directory


# Round trips


def test_a_model_that_carries_its_base_comes_back(full: Path) -> None:
    _assert_same_model(tiny_gist_model(), GistModel.from_pretrained(full))


def test_its_base_still_says_where_an_answer_ends(full: Path, tmp_path: Path) -> None:
    """Also when it was loaded in between, which leaves generation settings out."""
    lm, tokenizer, _ = checkpoint.load(str(full))
    checkpoint.save(lm, tokenizer, tmp_path, base_name="unused", card="")
    said = GenerationConfig.from_pretrained(tmp_path / "base")
    assert said.eos_token_id == lm.base.config.eos_token_id == tokenizer.eos_token_id


def test_it_can_be_moved(full: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(full, tmp_path / "elsewhere")
    _assert_same_model(GistModel.from_pretrained(full), GistModel.from_pretrained(str(moved)))


@pytest.mark.parametrize("scope", ["gist", "document", "both"])
def test_adapter_and_gist_rows_come_back(base_directory: Path, tmp_path: Path, scope: str) -> None:
    model = _lora_model(base_directory, scope)
    loaded = GistModel.from_pretrained(_saved(model, tmp_path / "model"))
    assert loaded.loaded.lm.spec == model.loaded.lm.spec.settled(False)
    assert loaded.loaded.base_name == str(base_directory)
    _assert_same_model(model, loaded)


def test_the_adapter_matters(base_directory: Path) -> None:
    """Else the test above would prove nothing."""
    model = _lora_model(base_directory, "document")
    with torch.no_grad():
        for name, tensor in model.loaded.lm.named_parameters():
            if "lora_B" in name:
                tensor.zero_()
    other = _lora_model(base_directory, "document")
    assert not _same(model.compress(DOCUMENT).layers, other.compress(DOCUMENT).layers)
    assert other.loaded.fingerprints["adapter"] != model.loaded.fingerprints["adapter"]
    assert other.loaded.fingerprints["weights"] == model.loaded.fingerprints["weights"]


def test_an_adapter_does_not_copy_its_base(lora: Path) -> None:
    assert not (lora / "base").exists()
    names = load_file(lora / "adapter" / "adapter_model.safetensors")
    assert names
    assert all("lora_" in name for name in names)


def _stored(directory: Path) -> dict[str, list[int]]:
    found = {}
    for path in directory.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found.update({name: file.get_slice(name).get_shape() for name in file.keys()})  # noqa: SIM118
    return found


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_tied_weights_are_written_once(tmp_path: Path, dtype: torch.dtype | None) -> None:
    tokenizer = tiny_tokenizer()
    base = tiny_base("qwen3-tied", vocab_size=len(tokenizer))
    lm = GistLM(base, GistSpec(gists=3, scope="full")).eval()
    checkpoint.save(lm, tokenizer, tmp_path / "m", base_name="", card=CARD, dtype=dtype)
    stored = _stored(tmp_path / "m" / "base")
    assert "model.embed_tokens.weight" in stored
    assert "lm_head.weight" not in stored
    loaded, _, _ = checkpoint.load(str(tmp_path / "m"))
    assert loaded.base.get_output_embeddings().weight is loaded.base.get_input_embeddings().weight
    assert base.dtype == torch.float32  # casting on disk leaves the model in memory alone
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert _same(loaded.compress(ids), lm.compress(ids)) == (dtype is None)
    same = fingerprints(lm, tokenizer) == fingerprints(loaded, tokenizer)
    assert same  # the compute type is no difference


def test_the_bundle_layout_is_as_documented(full: Path, lora: Path) -> None:
    assert {path.name for path in full.iterdir()} == {
        "README.md",
        "base",
        "gist.safetensors",
        "gist_config.json",
    }
    assert {path.name for path in lora.iterdir()} == {
        "README.md",
        "adapter",
        "gist.safetensors",
        "gist_config.json",
    }
    assert json.loads((full / "gist_config.json").read_text())["base_model"] == "base"


def test_no_pickles_are_written(full: Path, lora: Path) -> None:
    allowed = {".json", ".safetensors", ".md", ".jinja"}
    for directory in (full, lora):
        assert {path.suffix for path in directory.rglob("*") if path.is_file()} <= allowed


# Cards and uploads


def test_the_model_card_travels(full: Path, tmp_path: Path) -> None:
    GistModel.from_pretrained(full).save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_text(encoding="utf-8") == CARD
    _assert_same_model(
        GistModel.from_pretrained(full), GistModel.from_pretrained(tmp_path / "copy")
    )


def test_a_model_in_memory_can_be_saved(tmp_path: Path) -> None:
    tiny_gist_model().save_pretrained(tmp_path / "copy")
    _assert_same_model(tiny_gist_model(), GistModel.from_pretrained(tmp_path / "copy"))


@pytest.mark.parametrize("scope", ["gist", "document", "both", "full"])
def test_a_card_says_what_it_is_and_warns(scope: str) -> None:
    run = {"seed": 7, "commit": "abc123", "versions": {"transformers": "5.23.0", "torch": "2.13.0"}}
    card = model_card(GistSpec(gists=25, window_tokens=2048, scope=scope), "Qwen/Qwen3-0.6B", run)
    for part in ("2048 tokens", "25 gist", "Qwen/Qwen3-0.6B", "abc123", "Seed 7", "5.23.0"):
        assert part in card
    assert "treat the file as you treat the document" in card
    assert card.startswith("---\n")


class _Hub:
    """A replacement of the hub that records its arguments."""

    def __init__(self) -> None:
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}

    def create_repo(self, repository: str, **options: Any) -> str:
        self.created = {"repository": repository, **options}
        return f"https://hub.example/{repository}"

    def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
        assert repo_id == self.created["repository"]
        self.files = _contents(Path(folder_path))


def _contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("private", [True, False])
def test_push_uploads_what_save_writes(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: bool
) -> None:
    hub = _Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    model = GistModel.from_pretrained(full)
    options = {} if private else {"private": False}
    assert model.push_to_hub("me/tiny", **options) == "https://hub.example/me/tiny"
    assert hub.created == {"repository": "me/tiny", "private": private, "exist_ok": True}
    model.save_pretrained(tmp_path / "saved")
    assert hub.files == _contents(tmp_path / "saved")
    assert hub.files["README.md"] == CARD.encode()


# What is no model


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-such-model", "'mini' is the bundled model"),
        ("./nowhere", "not a directory"),
        ("/no/such/place", "not a directory"),
        ("~nobody-here/model", "could not be downloaded"),
        ("owner/name", "check the name and the network"),
        ("owner/name/", "not a directory"),
        ("", "gist_config.json"),
        ("x" * 300, "not a directory"),
    ],
)
def test_unknown_names_are_explained(name: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        checkpoint.load(name)


def test_a_directory_without_a_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="written by `dnsity train`"):
        checkpoint.load(str(tmp_path))


def test_a_plain_base_is_no_gist_model(base_directory: Path) -> None:
    with pytest.raises(BadInputError, match=r"holds no gist_config\.json"):
        checkpoint.load(str(base_directory))


def _truncate(name: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        path = directory / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def _remove(name: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        path = directory / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def _change(name: str, **values: Any) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return damage


def _retensor(name: str, change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        tensors = load_file(directory / name)
        change(tensors)
        save_file(tensors, directory / name, metadata={"format": "pt"})

    return damage


BASE_WEIGHTS = "base/model.safetensors"
FULL_DAMAGES = [
    pytest.param(_remove("gist.safetensors"), "gist.safetensors", id="no rows"),
    pytest.param(_truncate("gist.safetensors"), "gist.safetensors", id="half of the rows' file"),
    pytest.param(
        _retensor("gist.safetensors", lambda t: t.update(other=t.pop("gist_rows"))),
        "gist rows None",
        id="rows of another name",
    ),
    pytest.param(
        _retensor("gist.safetensors", lambda t: t.update(gist_rows=t["gist_rows"][:3].clone())),
        "gist rows .3, 32.",
        id="too few rows",
    ),
    pytest.param(_remove("base"), "base", id="no base"),
    pytest.param(_remove("base/config.json"), "base", id="no base config"),
    pytest.param(_truncate("base/config.json"), "base", id="half a base config"),
    pytest.param(_change("base/config.json", hidden_size="many"), "base", id="wrong base config"),
    pytest.param(_change("base/config.json", model_type="nosuch"), "base", id="unknown base"),
    pytest.param(_remove(BASE_WEIGHTS), "base", id="no weights"),
    pytest.param(_truncate(BASE_WEIGHTS), "base", id="half of the weights' file"),
    pytest.param(
        _retensor(BASE_WEIGHTS, lambda t: t.pop("model.layers.1.mlp.up_proj.weight")),
        "1 tensors are missing, for example model.layers.1.mlp.up_proj.weight",
        id="one weight missing",
    ),
    pytest.param(
        _retensor(BASE_WEIGHTS, lambda t: t.update({"lm_head.weight": torch.ones(5, 32)})),
        "base",
        id="a weight of another shape",
    ),
    pytest.param(_remove("base/tokenizer.json"), "tokenizer", id="no tokenizer"),
    pytest.param(_truncate("base/tokenizer.json"), "tokenizer", id="half a tokenizer"),
    pytest.param(_truncate("gist_config.json"), "gist_config.json", id="half a config"),
    pytest.param(_change("gist_config.json", colour="red"), "colour", id="an extra key"),
    pytest.param(
        _change("gist_config.json", spec={"gists": 4, "scope": "full", "colour": "red"}),
        "spec: colour",
        id="an extra key in the spec",
    ),
    pytest.param(
        _change("gist_config.json", format_version=2),
        "format_version.*upgrade dnsity",
        id="a newer format",
    ),
    pytest.param(_change("gist_config.json", spec={"gists": 0}), "gists", id="no gists"),
    pytest.param(
        _change("gist_config.json", spec={"gists": 4, "scope": "document"}),
        "adapter_config.json",
        id="a scope that needs an adapter",
    ),
]


@pytest.mark.parametrize(("damage", "says"), FULL_DAMAGES)
def test_half_a_checkpoint_is_refused(
    full: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    damage(directory)
    with pytest.raises(BadInputError, match=says) as caught:
        checkpoint.load(str(directory))
    assert "\n" not in str(caught.value)


ADAPTER = "adapter/adapter_model.safetensors"
LORA_DAMAGES = [
    pytest.param(_remove("adapter"), "adapter_config.json", id="no adapter"),
    pytest.param(_truncate("adapter/adapter_config.json"), "adapter_config", id="half a config"),
    pytest.param(_remove(ADAPTER), "adapter_model.safetensors", id="no adapter weights"),
    pytest.param(_truncate(ADAPTER), "adapter_model.safetensors", id="half of them"),
    pytest.param(
        _retensor(ADAPTER, lambda t: t.pop(min(t))), "1 tensors are missing", id="one missing"
    ),
    pytest.param(
        _retensor(ADAPTER, lambda t: t.update({"base_model.model.x.lora_A.weight": torch.ones(1)})),
        "1 unknown",
        id="one too many",
    ),
    pytest.param(
        _retensor(ADAPTER, lambda t: t.update({min(t): torch.ones(3, 3)})),
        "does not fit its base",
        id="another shape",
    ),
    pytest.param(_change("gist_config.json", base_model="/no/such/base"), "such", id="no base"),
]


@pytest.mark.parametrize(("damage", "says"), LORA_DAMAGES)
def test_half_an_adapter_is_refused(
    lora: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    directory = shutil.copytree(lora, tmp_path / "model")
    damage(directory)
    with pytest.raises(BadInputError, match=says) as caught:
        checkpoint.load(str(directory))
    assert "\n" not in str(caught.value)


# What a config may not ask for


@pytest.mark.parametrize(
    "values",
    [
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": "someone/kernel"},
        {"attn_implementation": {"": "someone/kernel"}},
        {"_attn_implementation": ["someone/kernel"]},
        {"text_config": {"_attn_implementation": "someone/kernel"}},
        {"attn_implementation": "paged|someone/kernel"},
    ],
    ids=str,
)
def test_a_config_cannot_name_attention_code_of_others(
    full: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    _change("base/config.json", **values)(directory)
    with pytest.raises(UnsupportedModelError, match=r"someone/kernel.*allowed are eager, sdpa"):
        checkpoint.load(str(directory))


@pytest.mark.parametrize("name", ["eager", "sdpa", None])
def test_a_config_may_name_attention_we_know(full: Path, tmp_path: Path, name: str | None) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    _change("base/config.json", attn_implementation=name)(directory)
    lm, _, _ = checkpoint.load(str(directory))
    assert lm.base.config._attn_implementation == "sdpa"


def test_code_in_a_repository_is_never_run(full: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    ran = tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\nclass Model: ...\nclass Config: ...\n"
    (directory / "base" / "code.py").write_text(code)
    mapping = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    for model_type in ("llama", "foreign"):
        _change("base/config.json", auto_map=mapping, model_type=model_type)(directory)
        try:
            checkpoint.load(str(directory))
        except BadInputError:
            assert model_type == "foreign"
        assert not ran.exists()


def test_pickled_weights_are_not_read(full: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    weights = load_file(directory / BASE_WEIGHTS)
    (directory / BASE_WEIGHTS).unlink()
    torch.save(weights, directory / "base" / "pytorch_model.bin")
    with pytest.raises(BadInputError, match="safetensors"):
        checkpoint.load(str(directory))


def test_an_unfit_architecture_is_refused_before_its_weights_are_read(
    full: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(full, tmp_path / "model")
    _change(
        "base/config.json",
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
    )(directory)
    (directory / BASE_WEIGHTS).unlink()
    with pytest.raises(UnsupportedModelError, match="dynamic"):
        checkpoint.load(str(directory))
