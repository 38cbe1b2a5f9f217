"""Many calls, many documents and long ones: the same answers, and no more memory."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import pytest
import torch

import forked
from dnsity.errors import BadInputError
from dnsity.evaluation.memory import Peak
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from support import flat
from tiny import DOCUMENT, LONG_DOCUMENT, QUESTIONS, WINDOW, tiny_gist_model
from tried import Tried

PROMISE = "load"
SHORT = Sampling(max_new_tokens=3)
MOST_GROWTH = 8 * 2**20
"""What 500 calls may add to the memory in use: measured, less than 1 MB; a call that kept its
cache and gist would add 100 kB each time."""


def _resident() -> int:
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _growth(model: GistModel, path: Path, calls: int, kept: list[object] | None = None) -> int:
    """Compress, save, load and ask so many times; return by how much the process grew."""
    rng, before = random.Random(0), 0
    for number in range(-20, calls):  # what is made once is made in the first ones
        if number == 0:
            before = _resident()
        text = (DOCUMENT if number % 2 else LONG_DOCUMENT).replace("60479", str(rng.random()))
        model.compress(text).save(path)
        gist = GistCache.load(path)
        answer = model.ask(gist, QUESTIONS[: 1 + number % 3], SHORT)
        if kept is not None:
            kept += [answer, torch.zeros(400_000, dtype=torch.uint8)]
    return _resident() - before


def test_calls_leave_nothing_behind(tried: Tried, tmp_path: Path) -> None:
    calls = 500 if tried.long else 60
    assert _growth(tiny_gist_model(), tmp_path / "a.gist.safetensors", calls) < MOST_GROWTH
    tried(calls)


def test_what_is_left_behind_would_show(tried: Tried, tmp_path: Path) -> None:
    """The control."""
    kept: list[object] = []
    calls = 500 if tried.long else 40
    assert _growth(tiny_gist_model(), tmp_path / "a", calls, kept) > MOST_GROWTH
    tried(calls)


def test_answers_leave_no_thread_behind(tried: Tried, model: GistModel) -> None:
    import threading

    gist = model.compress(DOCUMENT)
    before = threading.active_count()
    for number in tried.times(short=10, long=200):
        pieces = model.stream(gist, QUESTIONS[number % 3], Sampling(max_new_tokens=20))
        if number % 2:
            next(pieces, None)
            pieces.close()
        else:
            list(pieces)
    assert threading.active_count() == before


def test_a_hundred_documents_at_once(tried: Tried, model: GistModel) -> None:
    """Of all lengths, in one call: each gets the gists it gets alone."""
    rng = random.Random(0)
    texts = [LONG_DOCUMENT[: rng.randint(10, len(LONG_DOCUMENT))] + f" {n}" for n in range(100)]
    together = model.compress(texts)
    assert len(together) == 100
    for text, gist in zip(texts, together, strict=True):
        alone = model.compress(text)
        assert gist.info == alone.info
        for one, other in zip(flat(gist.layers), flat(alone.layers), strict=True):
            assert (one - other).abs().max() < 1e-4  # another order of summation
        tried()
    answers = model.ask_each(together, [QUESTIONS[0]] * 100, SHORT)
    assert [a.text for a in answers[:9]] == [
        model.ask(gist, QUESTIONS[0], SHORT).text for gist in together[:9]
    ]


@pytest.fixture(scope="module")
def reader() -> GistModel:
    """One gist for 1,024 tokens, so that 196 of them hold 200,000."""
    return tiny_gist_model(gists=1, window_tokens=1024)


def _lengths(long: bool) -> list[int]:
    short = [1, 2, 3, WINDOW - 1, 1023, 1024, 1025, 2048, 2049, 5_000]
    return [*short, 10_000, 65_535, 65_536, 65_537, 131_072, 200_000] if long else short


def test_documents_of_any_length(tried: Tried, reader: GistModel) -> None:
    """From one token, which nothing can make smaller, to 200,000; no token is dropped."""
    for tokens in _lengths(tried.long):
        text = "0" * tokens
        assert len(reader.loaded.encoder.encode(text)) == tokens
        tried()
        if tokens == 1:
            with pytest.raises(BadInputError, match="put it into the question"):
                reader.compress(text)
            continue
        gist = reader.compress(text)
        windows = -(-tokens // 1024)
        assert (gist.info.n_context, gist.info.n_gist, gist.info.n_chunks) == (
            tokens, windows, windows,
        )  # fmt: skip
        assert reader.ask(gist, QUESTIONS[0], SHORT).new_tokens <= 3


def test_the_last_word_of_a_long_document_counts(tried: Tried, reader: GistModel) -> None:
    text = "0" * (200_000 if tried.long else 5_000)
    one, other = reader.compress(text + "1"), reader.compress(text + "2")
    assert not torch.equal(one.layers[-1][1][..., -1, :], other.layers[-1][1][..., -1, :])
    assert torch.equal(one.layers[-1][1][..., 0, :], other.layers[-1][1][..., 0, :])
    tried(2)


def _peaks(lengths: list[int]) -> list[int]:
    """Peak memory of compressing documents of so many tokens, one after the other."""
    reader, peaks = tiny_gist_model(gists=1, window_tokens=1024), []
    for tokens in lengths:
        peak = Peak(torch.device("cpu"))
        reader.compress("0" * tokens)
        peaks.append(peak.bytes())
    return peaks


def test_a_long_document_takes_little_more_memory(tried: Tried) -> None:
    """What a further token costs: measured, 394 bytes, its entry in the tokenizer's own record.

    Its keys and values would be 384 more, even in so small a model, and its activations beyond.
    Measured in a process of its own: what others have freed lies scattered, and new memory is
    taken beside it. How much the allocator keeps differs from run to run and is never less than
    what is used, so the least of three long runs counts.
    """
    few, many = (20_000, 200_000) if tried.long else (4_000, 40_000)
    _, one, other = min(  # what is made once is made in the first
        (forked.call(_peaks, [few, few, many]) for _ in range(3 if tried.long else 1)),
        key=lambda peaks: peaks[2] - peaks[1],
    )
    assert (other - one) / (many - few) < 700
    tried(3)
