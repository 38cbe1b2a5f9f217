"""`refine`: slots learn, nothing else changes, and an interrupted run resumes."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.data.generators.hide import NOT_FOUND
from dnsity.errors import BadInputError, DamagedFileError, DivergedError
from dnsity.inference.check import language_of
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods import remove_state_files
from dnsity.inference.methods.refine import Refine, examples
from dnsity.inference.methods.refine.examples import Example, make_examples
from dnsity.inference.methods.refine.scoring import loss_of, score
from dnsity.inference.methods.refine.slots import Slots
from dnsity.inference.methods.refine.teacher import teacher_outputs
from dnsity.inference.methods.select import select_key_values
from dnsity.shapes import KeyValues
from support import assert_same, assert_same_keys
from tiny import LONG_DOCUMENT, QUESTIONS, tiny_base_model, tiny_gist_model

TEXT = LONG_DOCUMENT[:200]
FAMILIES = ("llama", "qwen3-tied", "gemma3")
SHORT: dict[str, Any] = {
    "steps": 8, "every_steps": 4, "rows": 24, "rows_per_step": 8, "gists": 2,
}  # fmt: skip


class Killed(BaseException):
    """Ends a run in the middle; no handler of the package catches it."""


def _read() -> tuple[GistModel, list[int], KeyValues]:
    """Return a base, the ids of the text, and their keys and values."""
    model = tiny_base_model("llama")
    ids = model.loaded.encoder.encode(TEXT)
    with torch.no_grad():
        return model, ids, model.loaded.lm.read(torch.tensor([ids]))


def _weights(model: GistModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.loaded.lm.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls_and_only_the_slots_move(family: str, tmp_path: Path) -> None:
    model = tiny_base_model(family)
    before = _weights(model)
    longer = {**SHORT, "steps": 40, "learning_rate": 0.2, "gists": 4}
    gist = model.compress(TEXT, method=Refine(**longer))
    said = gist.info.settings
    assert said["steps"] == longer["steps"]
    assert Refine(**longer).is_current(model.loaded, gist.info)
    assert not Refine(**{**longer, "rows": 32}).is_current(model.loaded, gist.info)
    start = select_key_values(model.loaded, model.loaded.encoder.encode(TEXT), gist.info.n_gist)
    for layer, first in zip(gist.layers, start, strict=True):
        for new, old in zip(layer, first, strict=True):
            assert torch.equal(new[:, :, 0], old[:, :, 0]), "the sink moved"
            assert not torch.equal(new[:, :, 1], old[:, :, 1])
    assert said["loss_after"] < 0.98 * said["loss_before"]
    assert (gist.info.method, said["start"]) == ("refine", "select")
    for name, tensor in _weights(model).items():
        assert torch.equal(tensor, before[name]), f"{name} moved"
    assert all(p.requires_grad and p.grad is None for p in model.loaded.lm.parameters())
    read = GistCache.load(gist.save(tmp_path / "a.gist.safetensors"))
    assert read.info == gist.info
    assert [a.text for a in model.ask(read, QUESTIONS)] == [
        a.text for a in model.ask(gist, QUESTIONS)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_slot_but_the_sink_and_no_weight(family: str) -> None:
    model = tiny_base_model(family)
    loaded, lm, encoder = model.loaded, model.loaded.lm, model.loaded.encoder
    ids = encoder.encode(TEXT)
    slots = Slots(select_key_values(model.loaded, ids, 6), frozen=1, start="select")
    with torch.no_grad():
        document = lm.read(torch.tensor([ids]))
    rows = [Example("span", ids[:4], ids[4:20]), Example("general", ids[9:10], ids[30:40])]
    pairs = list(zip(rows, teacher_outputs(loaded, rows, document), strict=True))
    start = [tensor.clone() for layer in slots.layers(torch.float32) for tensor in layer]
    with lm.frozen():
        assert not any(parameter.requires_grad for parameter in lm.parameters())
        loss = loss_of(lm, slots.layers(torch.float32), pairs)
        slots.learn(loss, 0.1)
    assert all(parameter.grad is None for parameter in lm.parameters())
    now = [tensor for layer in slots.layers(torch.float32) for tensor in layer]
    for old, new, trained in zip(start, now, slots.trainable, strict=True):
        assert torch.equal(old[:, :, 0], new[:, :, 0]), "the sink moved"
        assert trained.grad is not None
        assert (trained.grad != 0).any(dim=-1).all(), "a slot learns nothing"
        assert (old[:, :, 1:] != new[:, :, 1:]).any(dim=-1).all()


def test_the_document_itself_has_no_loss_but_its_own_uncertainty() -> None:
    """The teacher's own context agrees with it in full, and closes all of the gap."""
    model, ids, document = _read()
    loaded, lm = model.loaded, model.loaded.lm
    rows = make_examples(model.loaded, TEXT, ids, count=16, seed=0)
    said = teacher_outputs(loaded, rows, document)
    floor = [float(lesson.log_p.mean()) for lesson in teacher_outputs(loaded, rows, None)]
    seeing = [pair for pair in zip(rows, said, strict=True) if pair[0].sees_document]
    floors = [value for row, value in zip(rows, floor, strict=True) if row.sees_document]
    found = score(lm, document, seeing, floors)
    own = [-float(lesson.log_p.mean()) for row, lesson in seeing if row.is_gold]
    assert found.loss == pytest.approx(sum(own) / len(seeing), rel=1e-4)
    assert found.foreign == pytest.approx(0, abs=1e-4)
    assert found.gap is None or found.gap == pytest.approx(1, rel=1e-3)


def test_abstaining_is_saying_so_word_for_word() -> None:
    model, ids, document = _read()
    loaded, lm = model.loaded, model.loaded.lm
    prompts = [row.prompt for row in make_examples(model.loaded, TEXT, ids, count=64, seed=0)
               if row.kind == "foreign"]  # fmt: skip
    asked = [Example("foreign", prompt, [5]) for prompt in prompts]
    likeliest = [int(said.top_ids[0, 0]) for said in teacher_outputs(loaded, asked, document)]
    rows = [
        Example("foreign", prompts[0], [likeliest[0]]),
        Example("foreign", prompts[1], [likeliest[1] - 1]),
        Example("general", prompts[2], [likeliest[2]]),
    ]
    pairs = list(zip(rows, teacher_outputs(loaded, rows, document), strict=True))
    assert score(lm, document, pairs, [0.0] * 3).abstains == 0.5
    assert score(lm, document, pairs[2:], [0.0]).abstains is None


def test_what_slots_abstain_from_is_told_beside_the_base() -> None:
    told = tiny_base_model("llama").compress(TEXT, method=Refine(**SHORT)).info.settings
    assert told["abstains_full"] == told["abstains_before"] == told["abstains_after"] == 0.0


def test_it_starts_from_the_models_own_gists_and_is_never_worse() -> None:
    model = tiny_gist_model()
    nothing = {**SHORT, "gists": None, "steps": 0}
    start = model.compress(TEXT, method=Refine(**nothing))
    assert start.info.settings["start"] == "gist"
    assert_same_keys(start.layers, model.compress(TEXT).layers)
    assert start.info.n_gist == model.compress(TEXT).info.n_gist
    wild = model.compress(TEXT, method=Refine(**{**SHORT, "gists": None, "learning_rate": 50.0}))
    assert wild.info.settings["loss_after"] <= wild.info.settings["loss_before"]
    other = model.compress(TEXT, method=Refine(**nothing, start="select"))
    assert other.info.settings["start"] == "select"
    more = model.compress(TEXT, method=Refine(**{**nothing, "gists": 8}))
    assert more.info.settings["start"] == "select", "the model holds no eight gists"


@pytest.mark.parametrize(("killed", "resumed"), [(6, [5, 6, 7, 8]), (2, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_a_killed_run_resumes_where_it_stopped(
    tmp_path: Path, killed: int, resumed: list[int]
) -> None:
    """The same slots, bit for bit, as of a run that nothing stopped."""
    model = tiny_base_model("qwen3-tied")
    state = tmp_path / "state"
    whole = model.compress(TEXT, method=Refine(**SHORT))
    steps: list[int] = []

    def until(last: int) -> Any:
        def progress(done: int, total: int | None, now: str = "") -> None:
            steps.append(done)
            if done == last:
                raise Killed

        return progress

    how = Refine(**SHORT, state=state)
    with pytest.raises(Killed):
        model.compress(TEXT, method=how, progress=until(killed))
    assert steps[-1] == killed
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    steps.clear()
    again = model.compress(TEXT, method=how, progress=until(-1))
    assert [n for n in steps if n < 100] == resumed, "from the last evaluation"
    done = model.compress(TEXT, method=how)
    assert torch.equal(done.layers[0][0], again.layers[0][0]), "nothing is left to do"
    remove_state_files(how)
    assert not state.exists()
    for one, other in zip(again.layers, whole.layers, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    different = {"seconds"}
    assert {k: v for k, v in again.info.settings.items() if k not in different} == {
        k: v for k, v in whole.info.settings.items() if k not in different
    }


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    model = tiny_base_model("llama")
    state = tmp_path / "state"

    def stop(done: int, total: int | None, now: str = "") -> None:
        if done == 5:
            raise Killed

    with pytest.raises(Killed):
        model.compress(TEXT, method=Refine(**SHORT, state=state), progress=stop)
    for text, changes in ((TEXT[:150], {}), (TEXT, {"seed": 1})):
        with pytest.raises(BadInputError, match="another document, model or settings"):
            model.compress(text, method=Refine(**{**SHORT, **changes}, state=state))
    longer = {**SHORT, "steps": 9}
    assert model.compress(TEXT, method=Refine(**longer, state=state)).info.settings["steps"] == 9
    for damage in (b"", b"nothing"):
        state.write_bytes(damage)
        with pytest.raises(DamagedFileError, match="remove it"):
            model.compress(TEXT, method=Refine(**SHORT, state=state))


def test_time_and_patience_end_a_run() -> None:
    model = tiny_base_model("llama")
    brief = Refine(**{**SHORT, "steps": None, "minutes": 1e-6})
    with pytest.raises(BadInputError, match=r"give --minutes 0\.1 or more"):
        model.compress(TEXT, method=brief)
    enough = Refine(**{**SHORT, "steps": None, "minutes": 0.05})
    began = time.perf_counter()
    assert model.compress(TEXT, method=enough).info.settings["steps"] > 0
    assert time.perf_counter() - began < 5 * 60 * 0.05
    stuck = Refine(**{**SHORT, "steps": 400, "every_steps": 1, "patience": 2,
                      "learning_rate": 1e-9})  # fmt: skip
    assert model.compress(TEXT, method=stuck).info.settings["steps"] == 2
    assert Refine().seconds == 120
    assert Refine(steps=3).seconds is None


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(DivergedError, match="learning_rate"):
        tiny_base_model("llama").compress(
            TEXT, method=Refine(**{**SHORT, "learning_rate": 1e15, "steps": 30, "patience": 99})
        )


@pytest.mark.parametrize(
    ("text", "match"),
    [(" ", "empty"), ("Hi", "not make it smaller")],
)
def test_documents_that_cannot_be_taken_are_named(text: str, match: str) -> None:
    with pytest.raises(BadInputError, match=match):
        tiny_base_model("llama").compress(text, method=Refine(**SHORT))


# What is studied


def test_rows_are_of_the_document_and_of_what_is_foreign_to_it() -> None:
    model = tiny_base_model("llama")
    loaded = model.loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)
    rows = make_examples(loaded, LONG_DOCUMENT, ids, count=40, seed=3)
    assert rows == make_examples(loaded, LONG_DOCUMENT, ids, count=40, seed=3)
    kinds = [row.kind for row in rows]
    assert {"span", "quote", "value", "foreign", "general"} <= set(kinds)
    assert kinds.count("general") == 2
    assert any(
        row.kind == "foreign" and '"' in loaded.encoder.decode(row.prompt) for row in rows
    ), "no quotation that the document does not hold"
    for row in rows:
        if row.kind == "foreign":
            assert loaded.encoder.decode(row.answer).strip() == NOT_FOUND["en"]
            continue
        if row.kind == "span":
            whole = row.prompt + row.answer
            assert any(ids[n : n + len(whole)] == whole for n in range(len(ids)))
        elif row.is_gold:
            assert loaded.encoder.decode(row.answer).strip() in LONG_DOCUMENT


def test_general_text_is_answered_without_the_document() -> None:
    model, ids, document = _read()
    loaded, lm = model.loaded, model.loaded.lm
    prompt, answer = ids[:3], ids[20:30]
    rows = [Example("general", prompt, answer), Example("span", prompt, answer)]
    alone, behind = teacher_outputs(loaded, rows, document)
    with torch.no_grad():
        logits = lm.answer(None, torch.tensor([prompt + answer]))[0, 2:-1].log_softmax(-1)
    assert_same(alone.log_p, logits.gather(-1, torch.tensor(answer)[:, None])[:, 0])
    assert (alone.log_p - behind.log_p).abs().max() > 1e-2


def test_a_base_that_takes_orders_writes_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    from dnsity.inference.generate import Answer

    model = tiny_base_model("llama", max_position_embeddings=8192)
    model.loaded.tokenizer.chat_template = "{{ messages[0]['content'] }} A:"
    reply = '{"question": "When does it open?", "answer": "at nine"}'
    real = examples.answer

    def says(loaded: Any, prefix: Any, questions: list[str], *rest: Any, **more: Any) -> Any:
        if "JSON" not in questions[0]:
            return real(loaded, prefix, questions, *rest, **more)
        assert TEXT in questions[0]
        return [Answer(questions[0], reply, 0.0, 0.0, 1)]

    monkeypatch.setattr(examples, "answer", says)
    ids = model.loaded.encoder.encode(TEXT)
    rows = make_examples(model.loaded, TEXT, ids, count=32, seed=0)
    written = [row for row in rows if row.kind == "written"]
    assert len(written) == 1
    assert "When does it open?" in model.loaded.encoder.decode(written[0].prompt)
    assert not written[0].is_gold


def test_questions_are_asked_in_the_documents_language() -> None:
    assert language_of("The office opens at nine.") == "en"
    assert language_of("안내소는 아홉 시에 엽니다. (Open at 9)") == "ko"
