"""A gist is used by the model that made it, or refused: exit code 3, the difference named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dnsity.errors import GistMismatchError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from running import Done
from tiny import DOCUMENT, QUESTIONS, tiny_gist_model
from tried import Tried

PROMISE = "the match"
WEIGHTS, ROWS = "base/model.safetensors", "gist.safetensors"
QUESTION = QUESTIONS[0]


@pytest.fixture(scope="module")
def gist_path(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = GistModel.from_pretrained(model_directory)
    return model.compress(DOCUMENT).save(tmp_path_factory.mktemp("made") / "a.gist.safetensors")


@pytest.fixture
def altered(model_directory: Path, tmp_path: Path) -> Path:
    """A copy of the model, to change one thing in."""
    return Path(shutil.copytree(model_directory, tmp_path / "altered"))


def _json(name: str, **values: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values))

    return change


def _tensor(name: str, change: Callable[[Tensor], Tensor], file: str) -> Callable[[Path], None]:
    def alter(directory: Path) -> None:
        tensors = load_file(directory / file)
        tensors[name] = change(tensors[name]).contiguous()
        save_file(tensors, directory / file, metadata={"format": "pt"})

    return alter


def _tokenizer(directory: Path) -> None:
    """Let two tokens of the vocabulary change places."""
    path = directory / "base" / "tokenizer.json"
    values = json.loads(path.read_text("utf-8"))
    vocab = values["model"]["vocab"]
    one, other = list(vocab)[50:52]
    vocab[one], vocab[other] = vocab[other], vocab[one]
    path.write_text(json.dumps(values))


def _question_frame(directory: Path) -> None:
    path = directory / "gist_config.json"
    values = json.loads(path.read_text("utf-8"))
    values["spec"]["question_template"] = "<|im_start|>{question}<|im_end|>"
    path.write_text(json.dumps(values))


MIDDLE = "model.layers.1.mlp.up_proj.weight"
CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights": (_tensor(MIDDLE, lambda t: t * 1.5, WEIGHTS), "weights"),
    "gist rows": (_tensor("gist_rows", lambda t: t.flip(0), ROWS), "adapter"),
    "norm": (_json("base/config.json", rms_norm_eps=1e-3), "config"),
    "activation": (_json("base/config.json", hidden_act="gelu"), "config"),
    "rotation": (
        _json("base/config.json", rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
        "config",
    ),
    "scaled rotation": (
        _json(
            "base/config.json",
            rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
        ),
        "config",
    ),
    "tokenizer": (_tokenizer, "tokenizer"),
    "the frame of questions, as of a chat template": (_question_frame, "spec"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_another_model_is_exit_code_3_and_named(
    tried: Tried, dnsity: Callable[..., Done], altered: Path, gist_path: Path, case: str
) -> None:
    change, named = CHANGES[case]
    change(altered)
    done = dnsity("verify", gist_path, "-m", altered)
    assert done.code == 3, done
    assert f"in: {named}. Use the model it was made with" in done.err
    assert done.out == ""
    tried()


def test_the_model_itself_is_taken(
    tried: Tried, dnsity: Callable[..., Done], altered: Path, gist_path: Path
) -> None:
    """Else the refusals above would prove nothing: the same files elsewhere are the same model."""
    assert dnsity("verify", gist_path, "-m", altered).code == 0
    tried()


def test_a_chat_template_nobody_asks_in_changes_nothing(
    tried: Tried, altered: Path, gist_path: Path
) -> None:
    """The frame of questions is copied into the model when it is trained; nothing else counts."""
    before = GistModel.from_pretrained(altered).ask(GistCache.load(gist_path), QUESTION)
    (altered / "base" / "chat_template.jinja").write_text("{{ messages[0].content }}!")
    after = GistModel.from_pretrained(altered).ask(GistCache.load(gist_path), QUESTION)
    assert (after.text, after.new_tokens) == (before.text, before.new_tokens)
    tried()


def test_any_single_number_of_a_small_model_counts(tried: Tried) -> None:
    """All weights of small tensors are fingerprinted, and evenly spaced ones of large tensors."""
    model, rng = tiny_gist_model(), random.Random(0)
    own = model.loaded.fingerprints
    named = dict(model.loaded.lm.named_parameters())
    small = [name for name, tensor in named.items() if tensor.numel() < 2048]
    assert len(small) > 10
    for number in tried.times(short=len(small), long=20 * len(small)):
        flat = named[small[number % len(small)]].data.view(-1)
        place = rng.randrange(flat.numel())
        kept = flat[place].clone()
        flat[place] += 1
        fresh = replace(model.loaded).fingerprints  # nothing is remembered from before
        assert fresh["weights" if small[number % len(small)] != "gist_rows" else "adapter"] not in (
            own.values()
        )
        flat[place] = kept
    assert replace(model.loaded).fingerprints == own


def test_any_changed_fingerprint_is_refused(tried: Tried, model: GistModel) -> None:
    gist = model.compress(DOCUMENT)
    known = gist.info.fingerprints
    for name in (*known, "quantization"):
        for other in ("", "0" * 64, None):
            prints = {**known, name: other}
            if other is None:
                prints = {key: value for key, value in known.items() if key != name}
            if prints == known:
                continue
            info = gist.info.model_copy(update={"fingerprints": prints})
            with pytest.raises(GistMismatchError, match=name):
                model.ask(GistCache(gist.layers, info), QUESTION)
            tried()


# Forged: the fingerprints are right, the shapes are not


def _shaped(gist: GistCache, heads: int, width: int, layers: int) -> GistCache:
    tensor = torch.zeros(1, heads, gist.info.n_gist, width)
    return GistCache(((tensor, tensor),) * layers, gist.info)


@pytest.mark.parametrize(
    ("heads", "width", "layers"), [(1, 8, 3), (4, 8, 3), (2, 7, 3), (2, 16, 3), (2, 8, 2)]
)
def test_a_shape_that_cannot_be_read_is_refused_not_run(
    tried: Tried, model: GistModel, heads: int, width: int, layers: int
) -> None:
    gist = model.compress(DOCUMENT)
    assert [t.shape for t in gist.layers[0]] == [(1, 2, 4, 8)] * 2
    assert len(gist.layers) == 3
    forged = _shaped(gist, heads, width, layers)
    for take in (lambda: model.ask(forged, QUESTION), lambda: model.adopt(forged)):
        with pytest.raises(GistMismatchError, match=r"layers|heads or widths"):
            take()
        tried()


# --allow-mismatch


def test_a_mismatch_can_be_allowed_and_its_risk_is_said(
    tried: Tried, dnsity: Callable[..., Done], altered: Path, gist_path: Path
) -> None:
    CHANGES["weights"][0](altered)
    command = ("ask", gist_path, QUESTION, "-m", altered, "--json")
    assert dnsity(*command).code == 3
    done = dnsity(*command, "--allow-mismatch")
    assert len(done.json["answers"]) == 1
    assert done.err.startswith("warning: this gist was made by model")
    assert "differs" in done.err
    assert "in: weights" in done.err
    assert done.err.endswith("answers may be wrong without any further sign\n")
    tried(2)


def test_what_matches_needs_no_warning(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, gist_path: Path
) -> None:
    done = dnsity("ask", gist_path, QUESTION, "-m", model_directory, "--json", "--allow-mismatch")
    assert done.err == ""
    assert dnsity("ask", gist_path, QUESTION, "-m", model_directory, "--json").code == 0
    tried()
