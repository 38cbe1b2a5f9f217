"""Fingerprints: an edited model is another model, wherever it was edited; old files are known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from dnsity.cli.app import app
from dnsity.errors import BadInputError, GistMismatchError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model import weight_digests
from dnsity.model.fingerprint import SAMPLED, fingerprints, weights_digest
from support import tiny_base
from tiny import DOCUMENT, QUESTIONS, save, tiny_gist_model, tiny_tokenizer

ROWS, WIDTH = 6_000, 64


def _embedding() -> Tensor:
    """A table of a size that a regular stride reads every 375th value of."""
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(0))


def _rowwise(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, random.Random], None]:
    def edit(table: Tensor, rng: random.Random) -> None:
        row = rng.randrange(len(table))
        table[row] = change(table[row])

    return edit


def _swap(table: Tensor, rng: random.Random) -> None:
    one, other = rng.sample(range(len(table)), 2)
    table[[one, other]] = table[[other, one]]


def _column(table: Tensor, rng: random.Random) -> None:
    table[:, rng.randrange(table.shape[1])] += 1


def _rank_one(table: Tensor, rng: random.Random) -> None:
    left = torch.zeros(len(table), 1)
    left[rng.randrange(len(table))] = 0.5
    table += left @ torch.ones(1, table.shape[1])


EDITS = {
    "a row": _rowwise(lambda row: row + 1),
    "a row to zero": _rowwise(torch.zeros_like),
    "a row negated": _rowwise(torch.neg),
    "two rows swapped": _swap,
    "a column": _column,
    "a rank-one edit": _rank_one,
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "lm_head.weight"])
def test_an_edited_row_is_seen_wherever_it_is(name: str, edit: str) -> None:
    table, rng = _embedding(), random.Random(1)
    before = weight_digests.sampled([(name, table)])
    for _ in range(15):
        edited = table.clone()
        EDITS[edit](edited, rng)
        assert weight_digests.sampled([(name, edited)]) != before


def test_a_regular_stride_would_miss_it() -> None:
    """The control: what earlier versions wrote."""
    table, rng = _embedding(), random.Random(1)
    before = weight_digests.strided([("x", table)])
    missed = 0
    for _ in range(15):
        edited = table.clone()
        EDITS["a row"](edited, rng)
        missed += weight_digests.strided([("x", edited)]) == before
    assert missed > 7


@pytest.mark.parametrize("shape", [(70_000,), (8, 300, 64), (90_000, 1), (40, 2_000), (9_000, 9)])
def test_blocks_of_any_shape_are_read(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = weight_digests.sampled([("x", tensor)])
    for start in range(0, tensor.numel() - 2_000, tensor.numel() // 7):
        edited = tensor.clone()
        edited.view(-1)[start : start + 2_000] += 1
        assert weight_digests.sampled([("x", edited)]) != before


def test_places_differ_from_tensor_to_tensor_and_never_from_run_to_run() -> None:
    table = _embedding()
    one, other = (weight_digests._places(name, table) for name in ("a", "b"))
    assert not torch.equal(one, other)
    assert one[:2].tolist() == PLACES
    assert len(one.unique()) == WIDTH
    counts = one.flatten().bincount().float()
    assert counts.min() > 0.8 * counts.mean()


PLACES = [[52, 20, 62, 16, 19, 63, 19, 45], [37, 13, 6, 6, 7, 0, 54, 36]]
"""Recorded once; with other columns no existing gist file would match its model."""


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_compute_type_is_no_difference(dtype: torch.dtype) -> None:
    table = _embedding().to(torch.bfloat16)
    for read in (weight_digests.sampled, weight_digests.strided, weight_digests.complete):
        assert read([("x", table.to(dtype))]) == read([("x", table)])


def test_every_number_counts_in_the_complete_digest() -> None:
    table, rng = _embedding(), random.Random(2)
    before = weight_digests.complete([("x", table)])
    for _ in range(20):
        edited = table.clone()
        edited.view(-1)[rng.randrange(table.numel())] += 1
        assert weight_digests.complete([("x", edited)]) != before


# Files


def _large() -> GistModel:
    """A model whose embedding is too large to be read whole."""
    tokenizer = tiny_tokenizer()
    base = tiny_base("llama", vocab_size=4_000, eos_token_id=0, bos_token_id=None)
    return GistModel.from_base(base, tokenizer)


def test_a_gist_is_refused_after_any_row_was_edited() -> None:
    model = _large()
    gist = model.compress(DOCUMENT, method="select", gists=4)
    table = model.loaded.lm.base.get_input_embeddings().weight.data
    for row in (17, 1_999, 3_998):
        kept = table[row].clone()
        table[row] += 1
        with pytest.raises(GistMismatchError, match="in: weights"):
            replace(model.loaded).require_own(gist)
        table[row] = kept
    replace(model.loaded).require_own(gist)


def _earlier(gist: GistCache, loaded: LoadedModel) -> GistCache:
    """A gist as versions before this one wrote it."""
    prints = fingerprints(loaded.lm, loaded.tokenizer, earlier=True) | loaded.frame.fingerprints
    assert not any(value.startswith(SAMPLED) for value in prints.values())
    more = {"fingerprints": prints, "weights_sha256": None}
    return GistCache(gist.layers, gist.info.model_copy(update=more))


def test_a_file_of_an_earlier_version_is_compared_the_earlier_way(tmp_path: Path) -> None:
    model = tiny_gist_model()
    gist = _earlier(model.compress(DOCUMENT), model.loaded)
    again = GistCache.load(gist.save(tmp_path / "a.gist.safetensors"))
    assert again.info == gist.info
    assert model.ask(again, QUESTIONS[0]).text
    for other in (tiny_gist_model(seed=1), tiny_gist_model(more="another tokenizer here")):
        with pytest.raises(GistMismatchError):
            other.ask(again, QUESTIONS[0])
    for key in ("weights", "adapter"):
        prints = {**gist.info.fingerprints, key: "0" * 64}
        forged = gist.info.model_copy(update={"fingerprints": prints})
        with pytest.raises(GistMismatchError, match=key):
            model.ask(GistCache(gist.layers, forged), QUESTIONS[0])
    with pytest.raises(BadInputError, match="no digest of all weights"):
        model.loaded.require_own_weights(again)


def test_verify_deep_reads_every_weight(tmp_path: Path) -> None:
    model = _large()
    directory = save(model, tmp_path / "model")
    gist = model.compress(DOCUMENT, method="select", gists=4)
    path = gist.save(tmp_path / "a.gist.safetensors")
    run = CliRunner().invoke
    command = ["verify", str(path), "--model", str(directory)]
    assert "to every weight" in run(app, [*command, "--deep"]).stdout
    table = model.loaded.lm.base.get_input_embeddings().weight.data
    read = weight_digests._places("base.model.embed_tokens.weight", table)[2_000].tolist()
    unread = set(range(table.shape[1])) - set(read)
    table[2_000, min(unread)] += 1
    save(model, directory)
    assert run(app, command).exit_code == 0
    assert run(app, [*command, "--deep"]).exit_code != 0
    with pytest.raises(GistMismatchError, match="in single weights"):
        replace(model.loaded).require_own_weights(gist)
    assert weights_digest(model.loaded.lm) != gist.info.weights_sha256
    assert run(app, ["verify", "--leak", str(directory), "--deep"]).exit_code != 0
