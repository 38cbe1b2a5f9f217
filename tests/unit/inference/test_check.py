"""The quality check: its questions, gold values and counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import GistMismatchError
from dnsity.inference import check as checking
from dnsity.inference.check import agrees, held_out_probes, parts_with_probes, probes_on
from dnsity.inference.generate import answer
from dnsity.inference.gist_cache import Check, GistCache
from dnsity.inference.methods.select import Select
from tiny import LONG_DOCUMENT, tiny_base_model, tiny_gist_model

PROSE = (
    "The harbour office at the old pier opens at 9:45 on weekdays. Nobody there had ever met "
    "Clara Benning before the storm. The ferry to the northern island costs 17 crowns each way. "
    "Every visitor has to leave a heavy coat behind."
)


def test_questions_ask_for_values_then_names_then_words() -> None:
    found = probes_on(PROSE, 8)
    assert sorted(probe.kind for probe in found) == ["name", "value", "word"], "half of two values"
    for probe in found:
        assert PROSE[probe.at : probe.at + len(probe.gold)] == probe.gold
        assert PROSE[: probe.at].rstrip().endswith(probe.begun)
        assert PROSE.count(probe.begun) == 1
        assert probe.gold not in probe.begun
    assert [probe.at for probe in found] == sorted(probe.at for probe in found)
    assert probes_on(PROSE, 8) == found, "the same text, the same questions"
    assert len(probes_on(PROSE, 2)) == 2
    assert probes_on("Hello.") == []


def test_korean_documents_are_asked_in_korean() -> None:
    text = "나루터 안내소는 평일 아침 9시에 문을 엽니다. 배를 타는 값은 어른이 모두 17크라운입니다."
    (probe, *_) = probes_on(text)
    assert "문장" in probe.question
    assert probe.gold in text


@pytest.mark.parametrize(
    ("said", "gold", "same"),
    [
        ("9:45 on weekdays", "9:45", True),
        (" **9:45**.", "9:45", True),
        ("9:450", "9:45", False),
        ("at 9:45", "9:45", False),
        ("clara benning was", "Clara Benning", True),
        ("", "9:45", False),
    ],
)
def test_an_answer_begins_with_the_gold_value(said: str, gold: str, same: bool) -> None:
    assert agrees(said, gold) is same


def test_answers_continue_their_first_words() -> None:
    """What is generated equals what follows question and beginning as one prompt."""
    model = tiny_base_model("llama")
    loaded = model.loaded
    gist = model.compress(LONG_DOCUMENT, method="select")
    questions, begun = ["Which line?", "What is the passkey, please?"], ["The line", "It is the"]
    found = answer(loaded, gist.layers, questions, begun=begun)
    for asked, words, one in zip(questions, begun, found, strict=True):
        template = loaded.lm.spec.question_template + " " + words
        alone = answer(loaded, gist.layers, [asked], template=template)
        assert one.text == alone[0].text
        assert answer(loaded, gist.layers, [asked])[0].text != one.text


def _scripted(monkeypatch: pytest.MonkeyPatch, slots: int, full: int, wrong: int) -> None:
    """Script how many questions a prefix of so many slots gets wrong; `full`: full context."""

    def right(loaded: Any, prefix: Any, probes: Sequence[Any]) -> list[bool]:
        if prefix is None:
            return [False] * len(probes)
        count = len(probes) - wrong if prefix[0][0].shape[-2] == slots else full
        return [number < count for number in range(len(probes))]

    monkeypatch.setattr(checking, "answered_right", right)


def test_both_are_asked_the_same_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_base_model("llama")
    gist = model.compress(LONG_DOCUMENT, method=Select(gists=5, even=True))
    asked = len(held_out_probes(model.loaded, LONG_DOCUMENT))
    assert asked >= 4
    _scripted(monkeypatch, slots=5, full=99, wrong=1)
    found = model.check(gist, LONG_DOCUMENT)
    assert found == Check(asked=asked, full=asked, gists=asked - 1, both=asked - 1)
    assert found.passed
    _scripted(monkeypatch, slots=5, full=99, wrong=4)
    assert not model.check(gist, LONG_DOCUMENT).passed
    with pytest.raises(GistMismatchError):
        tiny_base_model("llama", seed=1).check(gist, LONG_DOCUMENT)


def test_what_is_guessed_without_the_document_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_base_model("llama").loaded
    all_of_them = held_out_probes(loaded, LONG_DOCUMENT)
    first = all_of_them[0]

    def right(loaded: Any, prefix: Any, probes: Sequence[Any]) -> list[bool]:
        assert prefix is None
        return [probe == first for probe in probes]

    monkeypatch.setattr(checking, "answered_right", right)
    assert first not in held_out_probes(loaded, LONG_DOCUMENT)


def test_a_real_check_of_all_keys_agrees_with_full_context() -> None:
    """Nothing is lost at ratio 1, so whatever a random base answers is answered alike."""
    model = tiny_base_model("llama")
    text = LONG_DOCUMENT[:240]
    found = model.check(model.compress(text, method=Select(ratio=1)), text)
    assert found.asked > 0
    assert found.full == found.gists == found.both


def test_what_a_check_says() -> None:
    assert str(Check(asked=8, full=8, gists=6, both=6)) == (
        "6 of 8 questions answered as with the whole document (8 of 8 right there)"
    )
    assert not Check(asked=8, full=8, gists=6, both=6).passed
    assert Check(asked=8, full=5, gists=4, both=4).passed
    unable = Check(asked=8, full=3, gists=0, both=0)
    assert unable.passed
    assert "the check says nothing" in str(unable)
    assert "nothing is known" in str(Check())


def test_a_long_document_is_asked_about_in_parts() -> None:
    loaded = tiny_base_model("llama").loaded
    text = "".join(
        f"Line {n} of the list says that code {n * n + 77} is in use. " for n in range(60)
    )
    found = parts_with_probes(loaded, text)
    assert len(found) > 1
    for part, probes in found:
        assert part in text
        assert len(loaded.frame.document(part)) + checking.ROOM <= loaded.max_positions
        assert all(probe.begun in part for probe in probes)
    gist = tiny_gist_model()
    assert gist.check(gist.compress(text), text).asked > 2


def test_it_is_saved_with_the_gist_and_absent_otherwise(tmp_path: Path) -> None:
    model = tiny_base_model("llama")
    gist = model.compress(LONG_DOCUMENT, method="select")
    plain = gist.save(tmp_path / "plain.gist.safetensors")
    assert GistCache.load(plain).info.check is None
    assert b'"check"' not in plain.read_bytes()
    found = Check(asked=4, full=4, gists=3, both=3)
    again = GistCache.load(gist.checked(found).save(tmp_path / "a.gist.safetensors"))
    assert again.info.check == found
    assert Select().is_current(model.loaded, again.info)
