"""Models and files of others run no code, unpickle nothing and stay within their folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.cli.console import harmless
from dnsity.errors import BadInputError, DamagedFileError, UnsupportedModelError
from dnsity.inference import gist_file
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.model import checkpoint
from dnsity.model.base import ATTENTION, ATTENTION_KEYS
from running import Done
from support import tiny_lora_lm
from tiny import DOCUMENT, QUESTIONS, tiny_tokenizer
from tried import Tried

PROMISE = "foreign things"


@pytest.fixture
def foreign(model_directory: Path, tmp_path: Path) -> Path:
    """A model as somebody else may have put it together."""
    return Path(shutil.copytree(model_directory, tmp_path / "foreign"))


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values))


# No pickle, no code, no network: watched from inside the interpreter


WATCHED = """
import json, sys
folder, gist = sys.argv[1:]
seen = []
def watch(event, given):
    if event == "pickle.find_class" or event.startswith("socket."):
        seen.append(f"{event} {given}")
    elif event == "open" and str(given[0]).startswith(folder) and str(given[0]).endswith(
        (".py", ".pyc", ".pkl", ".bin", ".pt", ".pth")
    ):
        seen.append(f"open {given[0]}")
import torch
from dnsity.inference.gist_model import GistModel
from dnsity.inference.gist_cache import GistCache
def refuse(*given, **named):
    seen.append("torch.load")
torch.load = refuse
sys.addaudithook(watch)
model = GistModel.from_pretrained(folder)
model.compress("The harbour office opens at nine. " * 3).save(gist)
answer = model.ask(GistCache.load(gist), "When?")
print(json.dumps({"seen": seen, "tokens": answer.new_tokens}))
"""


def test_compress_and_ask_unpickle_nothing_run_nothing_and_connect_to_nothing(
    tried: Tried, foreign: Path, tmp_path: Path
) -> None:
    """With code, pickles and a mapping to them lying in every folder of the model."""
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')\n"
    for folder in (foreign, foreign / "base"):
        for name in ("code.py", "modeling.py", "tokenizer.py", "__init__.py", "sitecustomize.py"):
            (folder / name).write_text(trap)
        torch.save({"weight": torch.ones(1)}, folder / "pytorch_model.bin")
        torch.save({}, folder / "training_args.bin")
    mapping = {"AutoConfig": "code.C", "AutoModelForCausalLM": "modeling.M"}
    _change(foreign / "base" / "config.json", auto_map=mapping)
    _change(
        foreign / "base" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenizer.T"] * 2}
    )
    gist = tmp_path / "a.gist.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(foreign), str(gist)],
        capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seen"] == []
    assert not (tmp_path / "ran").exists()
    tried()


def test_the_watch_sees_a_pickle(tried: Tried, tmp_path: Path) -> None:
    """The control."""
    code = WATCHED.split("import torch")[0] + (
        "sys.addaudithook(watch)\nimport pickle\n"
        "pickle.loads(pickle.dumps(json.JSONDecoder))\nprint(json.dumps(seen))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "x"], capture_output=True, text=True, timeout=60
    )
    assert "pickle.find_class" in json.loads(done.stdout)[0]
    tried()


# What a config may ask for


FOREIGN_ATTENTION = [
    "someone/kernel", "someone/kernel:function", "someone/kernel@main", "paged|someone/kernel",
    "flash_attention_2|x/y", "/tmp/kernel", "../kernel", "sdpa ", "SDPA", "", 1, True, ["sdpa"],
    {"": "someone/kernel"}, {"text_config": "sdpa"},
]  # fmt: skip


@pytest.mark.parametrize("key", ATTENTION_KEYS)
def test_only_known_attention_may_be_named(tried: Tried, foreign: Path, key: str) -> None:
    path = foreign / "base" / "config.json"
    plain = path.read_text("utf-8")
    for value in FOREIGN_ATTENTION:
        for values in ({key: value}, {"text_config": {key: value}}, {"parts": [{key: value}]}):
            path.write_text(plain)
            _change(path, **values)
            with pytest.raises(UnsupportedModelError, match="attention code"):
                checkpoint.load(str(foreign))
            tried()
    for known in (None, "eager", "sdpa"):  # the others need a package
        assert known in ATTENTION
        path.write_text(plain)
        _change(path, **{key: known})
        checkpoint.load(str(foreign))
        tried()


ADAPTER_TRAPS: dict[str, dict[str, Any]] = {
    "imports a module": {"megatron_config": {"a": 1}, "megatron_core": "antigravity"},
    "another kind, which reads a tokenizer by name": {
        "peft_type": "PROMPT_TUNING",
        "tokenizer_name_or_path": "someone/tokenizer",
        "tokenizer_kwargs": {"trust_remote_code": True},
    },
    "no kind": {"peft_type": None},
    "reads a cache file": {"corda_config": {"cache_file": "/tmp/x.pt"}},
    "replaces whole modules": {"modules_to_save": ["lm_head"]},
    "another initialisation": {"init_lora_weights": "pissa"},
    "repeats layers": {"layer_replication": [[0, 3], [0, 3]]},
    "something of the future": {"on_load": "print(1)"},
}


@pytest.mark.parametrize("case", ADAPTER_TRAPS)
def test_an_adapter_is_a_plain_one(tried: Tried, tmp_path: Path, case: str) -> None:
    lora = tiny_lora_lm("llama", "document")
    directory = tmp_path / "model"
    checkpoint.save(lora, tiny_tokenizer(), directory, base_name="/no/base", card="")
    checkpoint._lora_config(directory / "adapter")  # as it was written it is taken
    path = directory / "adapter" / "adapter_config.json"
    _change(path, **ADAPTER_TRAPS[case])
    with pytest.raises(BadInputError, match="plain LoRA adapter"):
        checkpoint._lora_config(directory / "adapter")
    assert "antigravity" not in sys.modules
    tried()


def test_a_base_cannot_meddle_with_answers_by_its_generation_settings(
    tried: Tried, foreign: Path, model_directory: Path
) -> None:
    gist = GistModel.from_pretrained(model_directory).compress(DOCUMENT)
    asked = Sampling(max_new_tokens=6)
    expected = GistModel.from_pretrained(model_directory).ask(gist, QUESTIONS, asked)
    most = list(range(300))
    for setting in (
        {"suppress_tokens": most}, {"bad_words_ids": [[n] for n in most]}, {"max_time": 1e-9},
        {"forced_eos_token_id": 0}, {"begin_suppress_tokens": most}, {"num_return_sequences": 2},
        {"min_new_tokens": 5}, {"cache_implementation": "static"}, {"do_sample": True},
        {"repetition_penalty": 9.0}, {"stop_strings": ["a", "e", " "]}, {"num_beams": 3},
        {"sequence_bias": [[[5], 99.0]]}, {"use_cache": False}, {"return_dict_in_generate": True},
    ):  # fmt: skip
        (foreign / "base" / "generation_config.json").write_text(json.dumps(setting))
        answers = GistModel.from_pretrained(foreign).ask(gist, QUESTIONS, asked)
        assert [a.text for a in answers] == [a.text for a in expected], setting
        tried()


# Paths and links


NAMES = ["../escaped", "/etc/passwd", "..", "k.00/../../x", "k.00\0", "~/x", "C:\\x", "", "k.0\n"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_tensors_are_never_paths(
    tried: Tried, model: GistModel, tmp_path: Path, name: str
) -> None:
    gist = model.compress(DOCUMENT)
    data = gist.save(tmp_path / "a.gist.safetensors").read_bytes()
    new = json.dumps(name).encode()
    header, tensors = data[8:], b""
    length = int.from_bytes(data[:8], "little")
    header, tensors = data[8 : 8 + length].replace(b'"k.00"', new).rstrip(), data[8 + length :]
    (tmp_path / "a.gist.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + tensors
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DamagedFileError):
        gist_file.load(tmp_path / "a.gist.safetensors")
    assert sorted(tmp_path.rglob("*")) == before
    tried()


@pytest.mark.parametrize("place", ["file", "folder"])
def test_nothing_is_written_through_a_link_in_a_store(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path, place: str
) -> None:
    texts, folder, outside = (tmp_path / name for name in ("texts", "store", "outside"))
    for path in (texts / "deeper" / "a.txt", texts / "b.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(DOCUMENT)
    folder.mkdir()
    outside.mkdir()
    victim = outside / "a.txt.gist.safetensors"
    victim.write_text("mine")
    if place == "folder":
        (folder / "deeper").symlink_to(outside)
    else:
        (folder / "deeper").mkdir()
        (folder / "deeper" / victim.name).symlink_to(victim)
    done = dnsity("compress", texts, "-o", folder, "-m", model_directory)
    assert done.code == 2
    assert "is a symbolic link" in done.err
    assert victim.read_text() == "mine"
    assert os.listdir(outside) == [victim.name]
    assert GistCache.load(folder / "b.txt.gist.safetensors").info.n_context > 0
    tried()


def test_a_link_in_a_store_does_not_pass_for_work_done(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path
) -> None:
    texts, folder = tmp_path / "texts", tmp_path / "store"
    texts.mkdir()
    (texts / "a.txt").write_text(DOCUMENT)
    command = ("compress", texts, "-o", folder, "-m", model_directory)
    assert dnsity(*command).code == 0
    target = folder / "a.txt.gist.safetensors"
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    assert dnsity(*command).code == 2
    tried()


def test_a_link_is_replaced_by_a_gist_and_not_followed(
    tried: Tried, model: GistModel, tmp_path: Path
) -> None:
    victim, link = tmp_path / "victim", tmp_path / "a.gist.safetensors"
    victim.write_text("mine")
    link.symlink_to(victim)
    model.compress(DOCUMENT).save(link)
    assert victim.read_text() == "mine"
    assert not link.is_symlink()
    tried()


@pytest.mark.parametrize("name", ["../model", "a/../b", "a/b/c", ".hidden/x", "/no/such", "a//b"])
def test_no_name_of_a_model_climbs_out(tried: Tried, name: str) -> None:
    with pytest.raises(BadInputError):
        checkpoint.find(name)
    tried()


# Terminals


def test_no_file_and_no_answer_steers_the_terminal(
    tried: Tried, dnsity: Callable[..., Done], model: GistModel, tmp_path: Path
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\x13\x7f\x00"
    gist = model.compress(DOCUMENT)
    info = gist.info.model_copy(update={"model": evil, "base": {"model_type": evil}})
    path = GistCache(gist.layers, info).save(tmp_path / "a.gist.safetensors")
    done = dnsity("inspect", path)
    assert done.code == 0
    assert "\\x1b]0;owned" in done.out
    assert not set(done.out) & set(evil) - set("]0;owned[2J31m")
    done = dnsity("ask", tmp_path / f"missing{evil[:-1]}", "x")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert harmless("a\n\tb 가 👩‍🚀") == "a\n\tb 가 👩‍🚀"
    tried(3)
