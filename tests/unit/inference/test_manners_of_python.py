"""The Python interface: names, printing, comparison, and errors for wrong arguments."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import dnsity
from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods.select import Select
from tiny import DOCUMENT, LONG_DOCUMENT, QUESTIONS


def test_the_public_names_are_listed_and_imported() -> None:
    assert set(dnsity.__all__) <= set(dir(dnsity))
    code = "from dnsity import *; import dnsity; assert all(n in globals() for n in dnsity.__all__)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_gist_is_printed_in_a_line(gist: GistCache) -> None:
    assert repr(gist) == "GistCache(17 tokens -> 4 slots (4x), model 'tiny', method 'gist')"
    assert str(gist) == repr(gist)
    assert len(repr([gist] * 3)) < 300


def test_gists_are_compared_by_all_they_hold(
    model: GistModel, gist: GistCache, tmp_path: Path
) -> None:
    again = GistCache.load(gist.save(tmp_path / "a.gist.safetensors"))
    assert gist == again
    assert hash(gist) == hash(again)
    assert len({gist, again, model.compress(LONG_DOCUMENT)}) == 2
    other = GistCache(tuple((k + 1, v) for k, v in gist.layers), gist.info)
    fewer = GistCache(gist.layers[:1], gist.info)
    told = replace(gist, info=gist.info.model_copy(update={"settings": {"steps": 1}}))
    for changed in (other, fewer, told, gist.to("cpu", torch.bfloat16), "a gist", None):
        assert gist != changed


def test_an_answer_is_printed_as_its_text(model: GistModel, gist: GistCache) -> None:
    answer = model.ask(gist, QUESTIONS[0])
    assert f"{answer}" == str(answer) == answer.text
    assert "ttft_s" in repr(answer)


def test_slots_given_next_to_a_method_object_are_refused(model: GistModel) -> None:
    with pytest.raises(BadInputError, match=r"set it there: Select\(gists=4\)"):
        model.compress(LONG_DOCUMENT, method=Select(ratio=2), gists=4)


def test_a_method_of_another_type_is_refused(model: GistModel) -> None:
    with pytest.raises(BadInputError, match=r"name of a method .*gist.* found int"):
        model.compress(LONG_DOCUMENT, method=3)  # type: ignore[call-overload]


def _file(path: Path) -> Path:
    path.write_text(DOCUMENT, encoding="utf-8")
    return path


WRONG: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "path": (lambda p: _file(p / "a.txt"), ["Path", "read_text"]),
    "path of nothing": (lambda p: p / "missing", ["Path", "read_text"]),
    "name of a file": (lambda p: str(_file(p / "some file")), ["the file name", "read_text"]),
    "name with a newline": (lambda p: f"{_file(p / 'a')}\n", ["the file name", "read_text"]),
    "name of no file": (lambda p: "handbook.TXT", ["the file name", "read_text"]),
    "name of a PDF": (lambda p: "papers/a.pdf", ["the file name"]),
    "bytes": (lambda p: DOCUMENT.encode(), ["bytes", "decode"]),
    "nothing": (lambda p: None, ["NoneType", "list of str"]),
    "number": (lambda p: 3, ["int", "list of str"]),
    "generator": (lambda p: (text for text in [DOCUMENT]), ["generator", "list of str"]),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("listed", [False, True])
def test_what_is_no_text_is_refused_with_what_to_do(
    model: GistModel, tmp_path: Path, case: str, listed: bool
) -> None:
    make, says = WRONG[case]
    value = make(tmp_path)
    with pytest.raises(BadInputError) as caught:
        model.compress([DOCUMENT, value] if listed else value)
    for part in says:
        assert part in str(caught.value)
    assert " --" not in str(caught.value)


def test_texts_that_mention_files_are_texts(model: GistModel) -> None:
    for text in ("See handbook.txt for when it opens.", "a.txt\nb.txt\nc.txt", "NUL \0 in a text."):
        assert model.compress(text).info.characters == len(text)
    assert len(model.compress((DOCUMENT, LONG_DOCUMENT))) == 2  # type: ignore[call-overload]


@pytest.mark.parametrize("value", ["a.gist.safetensors", Path("a.gist.safetensors"), None])
def test_what_is_no_gist_or_question_is_refused(
    model: GistModel, gist: GistCache, value: Any
) -> None:
    for name, call in {
        "ask": lambda: model.ask(value, "What?"),
        "ask_each": lambda: model.ask_each([value], ["What?"]),
        "stream": lambda: list(model.stream(value, "What?")),
        "check": lambda: model.check(value, DOCUMENT),
        "adopt": lambda: model.adopt(value),
    }.items():
        with pytest.raises(BadInputError, match=rf"^{name} takes .*GistCache\.load"):
            call()
    for question in (Path("a"), None, [3], b"What?"):
        with pytest.raises(BadInputError, match="question as str"):
            model.ask(gist, question)  # type: ignore[call-overload]
