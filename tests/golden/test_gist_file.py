"""Gist files of every format version are read, and mean what they meant, forever.

The files in `gists/` were written once and are never written again. A new format version gets a
new file (`python tests/golden/test_gist_file.py VERSION`) beside the old ones.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.gist_file import FORMAT_VERSION
from dnsity.model.fingerprint import SAMPLED, describe_base, fingerprints
from dnsity.model.gist_lm import GistLM
from dnsity.model.uneven import is_uneven, real_slots, twin
from dnsity.shapes import KeyValues

FOLDER = Path(__file__).parent / "gists"
VERSIONS = {
    1: "e9ebae2bfd9b9e35326e5bfc22b07dcfb1d8378c3d6a7d1a3f5cd79862dc90a5",
    2: "ea88ffc2d9a462dcd7089318e3e25ea4158dd50c875ff152f9e2aa4e52c1faac",
}
"""SHA-256 of each version's file."""
DOCUMENT = [3 + (7 * n) % 61 for n in range(20)]
QUESTION = [5, 9, 11, 40]
TOLERANCE = 1e-4
"""Of logits and keys of size 1: other machines sum in another order; a mistake is far larger."""


class _Tokenizer:
    """The model below is not asked in words."""

    def get_vocab(self) -> dict[str, int]:
        return {}


def _model() -> GistLM:
    """A model whose weights are counted out, not drawn: the same on every machine and version."""
    base = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=128,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )
    )
    lm = GistLM(base, GistSpec(gists=3, window_tokens=32, scope="full")).eval()
    start = 1
    with torch.no_grad():
        for _, tensor in sorted(lm.named_parameters()):
            numbers = _scrambled(torch.arange(start, start + tensor.numel())).reshape(tensor.shape)
            tensor.copy_(numbers if tensor.dim() > 1 else 1 + numbers / 4)
            start += tensor.numel()
    return lm


def _scrambled(counted: Tensor) -> Tensor:
    """Hash integers to -0.5..0.5, in whole numbers up to the last step."""
    for _ in range(2):
        counted = ((counted >> 16) ^ counted) * 0x45D9F3B % 2**32
    return (((counted >> 16) ^ counted) % 2**24 / 2**24 - 0.5).float()


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def gist(version: int) -> GistCache:
    return GistCache.load(FOLDER / f"format_{version}.gist.safetensors")


@pytest.fixture(scope="module")
def expected(version: int) -> dict[str, Any]:
    text = (FOLDER / f"format_{version}.json").read_text(encoding="utf-8")
    value: dict[str, Any] = json.loads(text)
    return value


@pytest.fixture(scope="module")
def model() -> GistLM:
    return _model()


def test_every_version_has_its_file(version: int) -> None:
    data = (FOLDER / f"format_{version}.gist.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == VERSIONS[version]
    assert set(VERSIONS) == set(range(1, FORMAT_VERSION + 1))


def test_old_files_load(gist: GistCache, expected: dict[str, Any]) -> None:
    assert gist.info == GistInfo(**expected["info"])
    last = 3 if gist.info.slots is None else 2
    shapes = [list(t.shape) for layer in gist.layers for t in layer]
    assert shapes == [[1, 1, 3, 8]] * 2 + [[1, 1, last, 8]] * 2


def test_what_this_version_wrote_it_would_write_again(version: int, tmp_path: Path) -> None:
    """Byte for byte: a field that nobody sets must not appear in the file."""
    old = FOLDER / f"format_{version}.gist.safetensors"
    new = GistCache.load(old).save(tmp_path / old.name)
    assert new.read_bytes() == old.read_bytes()


@torch.inference_mode()
def test_old_files_give_the_answers_they_gave(
    model: GistLM, gist: GistCache, expected: dict[str, Any]
) -> None:
    logits = _logits(model, gist.layers)
    torch.testing.assert_close(logits, torch.tensor(expected["logits"]), atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_the_same_document_gives_the_same_gist_as_then(model: GistLM, gist: GistCache) -> None:
    now = model.compress(torch.tensor([DOCUMENT]))
    for layer, then in zip(now, gist.layers, strict=True):
        for whole, reference in zip(layer, then, strict=True):
            tensor = whole[:, :, -reference.shape[2] :]
            torch.testing.assert_close(tensor, reference, atol=TOLERANCE, rtol=0)


@torch.inference_mode()
def test_the_gist_is_not_ignored(model: GistLM, gist: GistCache, expected: dict[str, Any]) -> None:
    """Else the logits above would prove nothing."""
    other = model.compress(torch.tensor([DOCUMENT[::-1]]))
    logits = model.answer(other, torch.tensor([QUESTION]), logits_to_keep=1)[0, -1]
    assert (logits - torch.tensor(expected["logits"])).abs().max() > 100 * TOLERANCE


def test_the_model_is_still_recognised(model: GistLM, gist: GistCache) -> None:
    """A newer transformers must not make every gist a stranger to its model.

    The files before there were sampled rows have the digests of that time; a file of today is
    compared by today's (tests/unit/model/test_fingerprint.py).
    """
    earlier = not gist.info.fingerprints["weights"].startswith(SAMPLED)
    assert _fingerprints(model, earlier=earlier) == gist.info.fingerprints


def _fingerprints(model: GistLM, *, earlier: bool = False) -> dict[str, str]:
    found = fingerprints(model, _Tokenizer(), earlier=earlier)  # type: ignore[arg-type]
    found.pop("tokenizer")
    return found


def _logits(model: GistLM, layers: KeyValues) -> Tensor:
    """Answer as `inference` does, empty slots left out."""
    if not is_uneven(layers):
        return model.answer(layers, torch.tensor([QUESTION]), logits_to_keep=1)[0, -1]
    with real_slots(layers, 0):
        return model.answer(
            layers, torch.tensor([QUESTION]), logits_to_keep=1, base=twin(model.base)
        )[0, -1]


@torch.inference_mode()
def write(version: int) -> None:
    """Write the golden files of a version; of 2, where the second layer holds a slot less."""
    model = _model()
    layers = model.compress(torch.tensor([DOCUMENT]))
    uneven: dict[str, Any] = {}
    if version == 2:
        keys, values = layers[1]
        layers = (layers[0], (keys[:, :, 1:], values[:, :, 1:]))
        uneven = {"n_positions": 3, "slots": [[3], [2]]}
    info = GistInfo(
        n_context=len(DOCUMENT),
        n_gist=3,
        n_chunks=1,
        characters=77,
        full_kv_bytes=2560,
        model="golden",
        base=describe_base(model),
        fingerprints=_fingerprints(model),
        **uneven,
    )
    logits = _logits(model, layers)
    expected = {
        "info": info.model_dump(mode="json"),
        "logits": [round(number, 6) for number in logits.tolist()],
    }
    path = GistCache(layers, info).save(FOLDER / f"format_{version}.gist.safetensors")
    text = json.dumps(expected, indent=1) + "\n"
    path.with_name(f"format_{version}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")


if __name__ == "__main__":
    write(int(sys.argv[1]))
