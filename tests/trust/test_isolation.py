"""An answer comes from its own gist and question: nothing else in the process has a part in it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

import pytest
import torch

from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.model import gist_lm
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import select, stacked
from dnsity.model.leak import leak
from support import (
    ATTENTIONS,
    FAMILIES,
    PLACEMENTS,
    SLIDING,
    assert_same_keys,
    flat,
    left_pad,
    random_ids,
    tiny_gist_lm,
    tiny_hybrid,
    tiny_lora_lm,
)
from tiny import tiny_gist_model
from tried import Tried

PROMISE = "isolation"
SHORT = Sampling(max_new_tokens=4)
WORDS = "the harbour office opens at nine passkey network boat 열 시 문 60479 48213 7".split()


def _document(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(6, 60)))


@dataclass(frozen=True)
class Shelf:
    """Documents with their gists and what each question gets from them when asked alone."""

    documents: Sequence[str]
    gists: Sequence[GistCache]
    questions: Sequence[str]
    alone: dict[tuple[int, int], str]


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    model, rng = tiny_gist_model(), random.Random(0)
    documents = [_document(rng) for _ in range(8)]
    questions = [" ".join(rng.choices(WORDS, k=n)) + "?" for n in (1, 2, 4, 7)]
    gists = [model.compress(text) for text in documents]
    alone = {
        (d, q): tiny_gist_model().ask(gist, question, SHORT).text
        for d, gist in enumerate(gists)
        for q, question in enumerate(questions)
    }
    assert len(set(alone.values())) > 8  # answers do differ
    return Shelf(documents, gists, questions, alone)


def test_no_answer_depends_on_what_was_asked_before(tried: Tried, shelf: Shelf) -> None:
    """One model, any calls in any order: every answer is the one of a model that just started."""
    model, rng = tiny_gist_model(), random.Random(1)
    for _ in tried.times(short=80, long=3_000):
        kind = rng.randrange(4)
        d, q = rng.randrange(len(shelf.gists)), rng.randrange(len(shelf.questions))
        gist, question = shelf.gists[d], shelf.questions[q]
        if kind == 0:
            assert model.ask(gist, question, SHORT).text == shelf.alone[d, q]
        elif kind == 1:
            model.compress(_document(rng))
        elif kind == 2:
            assert "".join(model.stream(gist, question, SHORT)) == shelf.alone[d, q]
        else:
            next(iter(model.stream(gist, question, Sampling(max_new_tokens=300))), None)


def test_no_answer_depends_on_its_batch(tried: Tried, shelf: Shelf) -> None:
    """Any questions on any documents, in any order and number, give what each gives alone."""
    model, rng = tiny_gist_model(), random.Random(2)
    for _ in tried.times(short=30, long=1_000):
        count = rng.randint(1, 6)
        rows = [
            (rng.randrange(len(shelf.gists)), rng.randrange(len(shelf.questions)))
            for _ in range(count)
        ]
        gists = [shelf.gists[d] for d, _ in rows]
        answers = model.ask_each(gists, [shelf.questions[q] for _, q in rows], SHORT)
        assert [answer.text for answer in answers] == [shelf.alone[row] for row in rows]


def test_no_answer_depends_on_its_batch_in_any_type(tried: Tried, shelf: Shelf) -> None:
    rng = random.Random(5)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        model = tiny_gist_model()
        model.loaded.lm.to(dtype)
        gists = [model.compress(text) for text in shelf.documents]
        for number in tried.times(short=3, long=150):
            count = rng.randint(2, 5)
            asked = rng.choices(shelf.questions, k=count)
            given = rng.choices(gists, k=count)
            exact = True if number % 2 else None  # None: left to the type, which decides for itself
            answers = model.ask_each(given, asked, SHORT, deterministic=exact)
            alone = [model.ask(g, q, SHORT).text for g, q in zip(given, asked, strict=True)]
            assert [answer.text for answer in answers] == alone


def test_no_answer_depends_on_other_threads(tried: Tried, shelf: Shelf) -> None:
    """Meanwhile the same model compresses by another method and streams."""
    model, rng = tiny_gist_model(), random.Random(6)
    stop = Event()
    failed: list[BaseException] = []

    def busy() -> None:
        try:
            while not stop.is_set():
                model.compress(shelf.documents[0] * 2, method="select", gists=4)
                list(model.stream(shelf.gists[0], shelf.questions[0], SHORT))
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=busy) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for _ in tried.times(short=20, long=600):
            d, q = rng.randrange(len(shelf.gists)), rng.randrange(len(shelf.questions))
            found = model.ask(shelf.gists[d], shelf.questions[q], SHORT).text
            assert found == shelf.alone[d, q]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not failed


@pytest.mark.parametrize("family", [*FAMILIES, *SLIDING[1:]])
def test_no_gist_depends_on_its_batch(tried: Tried, family: str) -> None:
    rng = random.Random(3)
    with torch.inference_mode():
        model = tiny_gist_lm(family)
        for number in tried.times(short=3, long=60):
            documents = [
                random_ids(1, rng.randint(1, 40), seed=100 * number + row)
                for row in range(rng.randint(2, 5))
            ]
            batch = model.compress(*left_pad(documents))
            for row, document in enumerate(documents):
                own = select(batch, torch.tensor([row]))
                assert_same_keys(own, model.compress(document))


def test_stored_tensors_are_never_written_to(tried: Tried, shelf: Shelf) -> None:
    model = tiny_gist_model()
    for number in tried.times(short=5, long=100):
        gist = shelf.gists[number % len(shelf.gists)]
        before = [tensor.clone() for tensor in flat(gist.layers)]
        model.ask(gist, list(shelf.questions), SHORT)
        model.ask_each([gist, shelf.gists[0]], list(shelf.questions[:2]), SHORT)
        list(model.stream(gist, shelf.questions[0], SHORT))
        assert all(map(torch.equal, flat(gist.layers), before))


def test_no_document_of_a_batch_reaches_another_row(tried: Tried, shelf: Shelf) -> None:
    """Gists of several documents side by side: changing one changes no bit of the others."""
    model, rng = tiny_gist_model().loaded.lm, random.Random(4)
    question = random_ids(3, 6, seed=1)
    with torch.inference_mode():
        for number in tried.times(short=20, long=400):
            rows = [shelf.gists[rng.randrange(len(shelf.gists))].layers for _ in range(3)]
            changed = number % 3
            others = list(rows)
            others[changed] = tuple((k + 1, v - 1) for k, v in rows[changed])
            one, other = (model.answer(stacked(given)[0], question) for given in (rows, others))
            for row in range(3):
                assert torch.equal(one[row], other[row]) == (row != changed)


# Leaks


def _lora(scope: str) -> Callable[[], GistLM]:
    return lambda: tiny_lora_lm("qwen3-tied", scope)


MODELS: dict[str, Callable[[], GistLM]] = {
    **{
        f"{family} {attention} {placement}": (
            lambda f=family, a=attention, p=placement: tiny_gist_lm(f, a, placement=p)
        )
        for family in (*FAMILIES, *SLIDING[1:])
        for attention in ATTENTIONS
        for placement in PLACEMENTS
    },
    **{f"adapter on {scope}": _lora(scope) for scope in ("gist", "document", "both")},
}


def test_with_gists_cut_off_no_document_changes_a_bit(tried: Tried) -> None:
    for make in MODELS.values():
        found = leak(make(), swaps=20 if tried.long else 1)
        assert not found.found
        assert found.past_gists == 0
        assert found.can_fail
        tried(found.swaps)


def test_a_leak_is_found(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a convolution carries the document round the mask, if only it is let in."""
    monkeypatch.setattr(gist_lm, "require_supported", lambda config: None)
    # As few gists as a convolution is wide: it reaches the question in one step.
    found = leak(GistLM(tiny_hybrid(), GistSpec(gists=1, window_tokens=64, scope="full")))
    assert found.found
    assert found.past_gists > 0
    tried()


def test_numbers_that_are_none_count_as_a_leak(tried: Tried) -> None:
    model = tiny_gist_lm("llama")
    with torch.no_grad():
        model.base.get_output_embeddings().weight[3] = torch.nan
    found = leak(model)
    assert found.found
    assert not found.can_fail
    tried()


def test_what_a_leak_check_compares_is_a_real_document(tried: Tried, model: GistModel) -> None:
    """Through its gists the document does show, by far more than rounding."""
    found = leak(model.loaded.lm)
    assert found.through_gists > 0.1
    tried(found.swaps)
