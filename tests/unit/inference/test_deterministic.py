"""Which questions run in one batch: in short types rounding could change an answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from tiny import DOCUMENT, QUESTIONS, tiny_gist_model

HALVES = (torch.bfloat16, torch.float16)
SHORT = Sampling(max_new_tokens=6)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many questions each call of `generate` gets."""
    from transformers import GenerationMixin

    sizes: list[int] = []
    generate = GenerationMixin.generate

    def spy(self: Any, **given: Any) -> Any:
        sizes.append(len(given["input_ids"]))
        return generate(self, **given)

    monkeypatch.setattr(GenerationMixin, "generate", spy)
    return sizes


def of_type(dtype: torch.dtype) -> GistModel:
    model = tiny_gist_model()
    model.loaded.lm.to(dtype)
    return model


@pytest.mark.parametrize(
    ("dtype", "deterministic", "expected"),
    [
        (torch.float32, None, [3]),
        (torch.float32, True, [1, 1, 1]),
        (torch.float32, False, [3]),
        *[(half, None, [1, 1, 1]) for half in HALVES],
        *[(half, True, [1, 1, 1]) for half in HALVES],
        *[(half, False, [3]) for half in HALVES],
    ],
)
def test_where_a_batch_is_not_exact_questions_run_alone(
    dtype: torch.dtype, deterministic: bool | None, expected: list[int], batches: list[int]
) -> None:
    model = of_type(dtype)
    gist = model.compress(DOCUMENT)
    asked = model.ask(gist, QUESTIONS, SHORT, deterministic=deterministic)
    assert batches == expected
    each = model.ask_each([gist] * 3, QUESTIONS, SHORT, deterministic=deterministic)
    assert batches == 2 * expected
    assert [reply.question for reply in asked] == [reply.question for reply in each] == QUESTIONS


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
@pytest.mark.parametrize("how", [SHORT, Sampling(max_new_tokens=6, temperature=1.5, seed=3)])
def test_alone_means_as_asked_alone(dtype: torch.dtype, how: Sampling) -> None:
    model = of_type(dtype)
    gist = model.compress(DOCUMENT)
    shorter = GistCache(tuple((k[:, :, 1:], v[:, :, 1:]) for k, v in gist.layers), gist.info)
    alone = [model.ask(gist, question, how).text for question in QUESTIONS]
    assert [a.text for a in model.ask(gist, QUESTIONS, how, deterministic=True)] == alone
    gists = [gist, shorter, gist]
    each = model.ask_each(gists, QUESTIONS, how, deterministic=True)
    expected = [model.ask(g, q, how).text for g, q in zip(gists, QUESTIONS, strict=True)]
    assert [reply.text for reply in each] == expected
    layers = gist.to("cpu", dtype).layers
    given = answer(model.loaded, layers, QUESTIONS, how, one_at_a_time=True)
    assert [reply.text for reply in given] == alone
