"""The command line in a chat frame: a gist names model and frame, a chat remembers its turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dnsity.cli.app import app
from dnsity.cli.console import harmless
from dnsity.errors import BadInputError, GistMismatchError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from support import tiny_base
from templates import WITH_SYSTEM, chat_tokenizer

TEXT = "The harbour office opens at nine. The passkey is 60479. " * 4
QUESTION = "What is the passkey?"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chat") / "base"
    tokenizer = chat_tokenizer("cl100k", WITH_SYSTEM)
    model = tiny_base("llama", vocab_size=len(tokenizer), max_position_embeddings=1024)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "doc.txt"
    path.write_text(TEXT)
    return path


def _run(*arguments: object, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def _compress(document: Path, base: Path, *more: object) -> Path:
    target = document.with_suffix(".gist.safetensors")
    _run("compress", document, "-o", target, "--model", base, "--method", "select", *more)
    return target


def test_ask_takes_model_and_frame_from_the_gist(base: Path, document: Path) -> None:
    gist = _compress(document, base, "--system", "Be brief.", "--instruction", "Use the text.")
    info = GistCache.load(gist).info
    assert (info.frame, info.system, info.instruction) == ("chat", "Be brief.", "Use the text.")
    found = json.loads(_run("ask", gist, QUESTION, "--json"))["answers"][0]["answer"]
    model = GistModel.from_base(base, system="Be brief.", instruction="Use the text.")
    assert found == model.ask(GistCache.load(gist), QUESTION).text
    assert "intact" in _run("verify", gist)
    with pytest.raises(GistMismatchError, match="another chat template, system prompt"):
        GistModel.from_base(base).ask(GistCache.load(gist), QUESTION)


def test_plain_is_one_word_away(base: Path, document: Path) -> None:
    gist = _compress(document, base, "--frame", "plain")
    assert GistCache.load(gist).info.frame == "plain"
    found = json.loads(_run("ask", gist, QUESTION, "--json"))["answers"][0]["answer"]
    plain = GistModel.from_base(base, frame="plain")
    assert found == plain.ask(GistCache.load(gist), QUESTION).text


def test_a_chat_continues_and_can_start_over(base: Path, document: Path) -> None:
    gist = _compress(document, base)
    said = _run("chat", gist, stdin=f"{QUESTION}\nAnd when?\n/new\nAnd when?\n")
    model, cache = GistModel.from_base(base), GistCache.load(gist)
    first = model.ask(cache, QUESTION).text
    continued = model.ask(cache, "And when?", turns=[(QUESTION, first)]).text
    alone = model.ask(cache, "And when?").text
    assert continued != alone
    assert said == "".join(harmless(text) + "\n" for text in (first, continued, alone))
    with pytest.raises(BadInputError, match="keeps the frame it was made in"):
        _run("chat", gist, "--frame", "plain")


def test_a_gist_model_keeps_its_frame(document: Path) -> None:
    with pytest.raises(BadInputError, match="keeps the frame it was trained in"):
        _run("compress", document, "--frame", "chat", "-o", document.with_suffix(".g.safetensors"))


def test_export_writes_the_template_too(base: Path, document: Path, tmp_path: Path) -> None:
    gist = _compress(document, base, "--even")
    found = json.loads(_run("export", gist, "--peft", tmp_path / "adapter", "--json"))
    info = GistCache.load(gist).info
    assert found["virtual_tokens"] == info.n_head + info.n_gist > info.n_gist
