"""Bad input ends with its exit code and one line that says what to do, and writes no file."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dnsity.errors import BadInputError
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from running import Done, Run
from tiny import MOST_TOKENS, POSITIONS, tiny_gist_model


@dataclass(frozen=True)
class Place:
    """A directory with a document, a gist of it, a model and a wrong model."""

    folder: Path
    document: Path
    gist: Path
    model: str
    other: str


@pytest.fixture
def place(document: Path, gist_file: Path, model_directory: str, other_directory: str) -> Place:
    return Place(document.parent, document, gist_file, model_directory, other_directory)


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _assert_refused(done: Done, code: int, says: Sequence[str]) -> None:
    assert done.code == code, done
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    for part in says:
        assert part in done.err


def _file(place: Place, content: bytes, name: str = "bad.txt") -> Path:
    path = place.folder / name
    path.write_bytes(content)
    return path


def _half_model(place: Place) -> str:
    directory = shutil.copytree(place.model, place.folder / "half")
    (directory / "base" / "model.safetensors").unlink()
    return str(directory)


COMPRESS: dict[str, tuple[Callable[[Place], Sequence[object]], Sequence[str]]] = {
    "empty document": (lambda p: [_file(p, b"")], ["the document is empty; give a text"]),
    "white space": (lambda p: [_file(p, b" \n\t")], ["the document is empty"]),
    "one token": (lambda p: [_file(p, b"0")], ["1 tokens", "put it into the question"]),
    "few tokens": (lambda p: [_file(p, b"0123")], ["4 tokens", "fewer gists (--gists 1)"]),
    "too long": (
        lambda p: [_file(p, b"0" * (MOST_TOKENS + 1))],
        [f"{MOST_TOKENS + 1} tokens", f"can hold {POSITIONS // 2}", "split the document"],
    ),
    "missing": (lambda p: [p.folder / "none.txt"], ["cannot read", "No such file"]),
    "directory": (lambda p: [p.folder], ["is a folder; say where its gists go with -o FOLDER"]),
    "empty name": (lambda p: [""], ["is a directory"]),
    "file as folder": (lambda p: [p.document / "x"], ["cannot read", "Not a directory"]),
    "name too long": (lambda p: ["x" * 300], ["cannot read", "too long"]),
    "binary": (lambda p: [_file(p, b"\1\0\0data")], ["binary file", "give UTF-8 text"]),
    "a gist": (lambda p: [p.gist, "-o", p.folder / "x"], ["gist file already", "dnsity ask"]),
    "not UTF-8": (
        lambda p: [_file(p, "나루터".encode("cp949"))],
        ["is not UTF-8 (byte 0)", "iconv"],
    ),
    "UTF-16": (lambda p: [_file(p, "text".encode("utf-16"))], ["give UTF-8 text"]),
    "no gists": (lambda p: [p.document, "--gists", 0], ["--gists 0", "holds 1 to 4"]),
    "too many gists": (lambda p: [p.document, "--gists", 5], ["--gists 5", "holds 1 to 4"]),
    "negative gists": (lambda p: [p.document, "--gists=-1"], ["--gists -1", "holds 1 to 4"]),
    "no output for stdin": (lambda p: ["-"], ["say where to save with -o FILE"]),
    "output folder missing": (
        lambda p: [p.document, "-o", p.folder / "no" / "x"],
        ["does not exist; create it first"],
    ),
    "output is a folder": (
        lambda p: [p.document, "-o", p.folder],
        ["is a directory; give a file name with -o"],
    ),
    "output below a file": (
        lambda p: [p.document, "-o", p.document / "x"],
        ["does not exist; create it first"],
    ),
    "output is the document": (
        lambda p: [p.document, "-o", p.document],
        ["is the document itself; choose another name with -o"],
    ),
    "output name too long": (
        lambda p: [p.document, "-o", p.folder / ("x" * 300)],
        ["cannot write", "choose another place with -o"],
    ),
    "output where nobody can write": (
        lambda p: [p.document, "-o", "/proc/x.gist.safetensors"],
        ["/proc", "choose another"],
    ),
    "no such model": (
        lambda p: [p.document, "--model", "no-such-model"],
        ["no model 'no-such-model'", "'mini' is the bundled model"],
    ),
    "model not on disk": (
        lambda p: [p.document, "--model", "owner/name"],
        ["'owner/name'", "check the name and the network"],
    ),
    "folder without a model": (
        lambda p: [p.document, "--model", p.folder],
        ["gist_config.json", "written by `dnsity train`"],
    ),
    "half a model": (lambda p: [p.document, "--model", _half_model(p)], ["base"]),
    "no such device": (
        lambda p: [p.document, "--device", "abacus"],
        ["no device 'abacus'", "use --device cpu"],
    ),
}


@pytest.mark.parametrize("case", COMPRESS)
def test_compress_refuses(run: Run, place: Place, case: str) -> None:
    make, says = COMPRESS[case]
    arguments = list(make(place))
    if "--model" not in arguments:
        arguments += ["--model", place.model]
    before = _listing(place.folder)
    for options in ([], ["--json"]):
        _assert_refused(run("compress", *arguments, *options), 2, says)
    assert _listing(place.folder) == before


def test_compress_refuses_standard_input_that_is_no_text(run: Run, place: Place) -> None:
    target = place.folder / "x"
    for stdin, says in ((b"", "empty"), (b"\xffa", "not UTF-8"), (b"a\0b", "binary")):
        done = run("compress", "-", "-o", target, "-m", place.model, stdin=stdin)
        _assert_refused(done, 2, [says])
        assert not target.exists()


def test_compress_does_not_replace_a_pipe(run: Run, place: Place) -> None:
    pipe = place.folder / "pipe"
    os.mkfifo(pipe)
    done = run("compress", place.document, "-o", pipe, "-m", place.model)
    _assert_refused(done, 2, ["is not a file; choose another place with -o"])
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_disk_that_is_full_leaves_the_old_gist(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = _listing(place.folder)
    monkeypatch.setattr(os, "fsync", full)
    done = run("compress", place.document, "-o", place.gist, "-m", place.model)
    monkeypatch.undo()
    _assert_refused(done, 2, ["No space left on device; choose another place with -o"])
    assert _listing(place.folder) == before


ASK: dict[str, tuple[Callable[[Place], Sequence[object]], int, Sequence[str]]] = {
    "no question": (lambda p: [p.gist], 2, ["nothing to ask: give a question"]),
    "empty question": (lambda p: [p.gist, ""], 2, ["nothing to ask"]),
    "one of two empty": (lambda p: [p.gist, "What?", "-q", " "], 2, ["nothing to ask"]),
    "second gist": (
        lambda p: [p.gist, p.gist.with_name("b.gist.safetensors"), "What?"],
        2,
        ["b.gist.safetensors' is a gist file, not a question", "one gist at a time"],
    ),
    "second gist, there or not": (
        lambda p: [p.gist, "What?", "b.GIST.safetensors"],
        2,
        ["is a gist file, not a question"],
    ),
    "gist as --question": (
        lambda p: [p.gist, "What?", "-q", p.gist],
        2,
        ["is a gist file, not a question"],
    ),
    "file as question": (
        lambda p: [p.gist, p.document, "What?"],
        2,
        ["is a file, not a question", "--question"],
    ),
    "folder as question": (lambda p: [p.gist, p.folder], 2, ["is a file, not a question"]),
    "question too long": (
        lambda p: [p.gist, "0" * POSITIONS],
        2,
        [f"this model takes {POSITIONS}", "shorten the question"],
    ),
    "answer too long": (
        lambda p: [p.gist, "What?", "--max-new-tokens", POSITIONS],
        2,
        [f"this model takes {POSITIONS}", "fewer new tokens"],
    ),
    "surrogate": (lambda p: [p.gist, "is \udcff it?"], 2, ["surrogate at character 3"]),
    "no tokens": (lambda p: [p.gist, "What?", "--max-new-tokens", 0], 2, ["max_new_tokens"]),
    "cold": (lambda p: [p.gist, "What?", "--temperature=-1"], 2, ["temperature"]),
    "nan": (lambda p: [p.gist, "What?", "--temperature", "nan"], 2, ["temperature"]),
    "missing": (lambda p: [p.folder / "none", "What?"], 2, ["cannot read", "No such file"]),
    "directory": (lambda p: [p.folder, "What?"], 2, ["is a directory; give a *.gist"]),
    "no model": (lambda p: [p.gist, "What?", "--model", "nope"], 2, ["no model 'nope'"]),
    "wrong model": (
        lambda p: [p.gist, "What?", "--model", p.other],
        3,
        ["made by model", "weights", "Use the model it was made with"],
    ),
    "text": (lambda p: [p.document, "What?"], 4, ["not an intact gist file", "compress"]),
    "empty file": (lambda p: [_file(p, b""), "What?"], 4, ["too short"]),
    "truncated": (
        lambda p: [_file(p, p.gist.read_bytes()[:-100]), "What?"],
        4,
        ["compress the document again"],
    ),
    "altered": (
        lambda p: [_file(p, p.gist.read_bytes()[:-1] + b"!"), "What?"],
        4,
        ["checksum", "compress the document again"],
    ),
}


@pytest.mark.parametrize("case", ASK)
def test_ask_refuses(run: Run, place: Place, case: str) -> None:
    make, code, says = ASK[case]
    arguments = list(make(place))
    if "--model" not in arguments:
        arguments += ["--model", place.model]
    before = _listing(place.folder)
    for options in ([], ["--json"]):
        _assert_refused(run("ask", *arguments, *options), code, says)
    assert _listing(place.folder) == before


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize("case", ["missing", "directory", "text", "empty file", "truncated"])
def test_inspect_and_verify_refuse(run: Run, place: Place, command: str, case: str) -> None:
    make, code, says = ASK[case]
    _assert_refused(run(command, make(place)[0]), code, says)


def test_verify_refuses_the_wrong_model(run: Run, place: Place) -> None:
    done = run("verify", place.gist, "-m", place.other, "--json")
    _assert_refused(done, 3, ["weights"])


@pytest.mark.parametrize(
    ("command", "option"), [("train", "--config"), ("pretrain", "--config"), ("eval", "--config")]
)
def test_runs_refuse_a_config_that_cannot_be_read(
    run: Run, tmp_path: Path, command: str, option: str
) -> None:
    target = tmp_path / "out"
    done = run(command, option, tmp_path / "none.yaml", "--output-dir", target)
    _assert_refused(done, 2, ["cannot read config", "No such file"])
    assert not target.exists()


def test_everything_wrong_in_a_config_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: what is imported for training may have things to say as well."""
    config = tmp_path / "run.yaml"
    config.write_text("base: 3\ngist: {gits: 4}\n", encoding="utf-8")
    command = [sys.executable, "-m", "dnsity", "train", "--config", str(config), "--output-dir"]
    done = subprocess.run(
        [*command, str(tmp_path / "out"), "--set", "chat=maybe"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    says = [
        "base: Input",
        "; gist.gits: unknown key, did you mean 'gists'? (found 4)",
        "; chat: unknown",
    ]
    says += ["; data: Field required; ", "; training: Field required"]
    _assert_refused(Done(done.returncode, done.stdout, done.stderr), 2, says)


def test_eval_refuses_an_output_folder_that_cannot_be_made(run: Run, place: Place) -> None:
    config = _file(place, b"tasks: [{family: exam}]\n", "eval.yaml")
    done = run("eval", "--config", config, "--output-dir", place.document / "x")
    _assert_refused(done, 2, ["cannot create directory", "choose another with --output-dir"])


def test_lone_surrogates_are_refused_by_the_interface_too() -> None:
    model = tiny_gist_model()
    with pytest.raises(BadInputError, match="surrogate at character 4"):
        model.compress("The \ud83d passkey is 60479.")


def test_errors_of_the_interface_are_the_exit_codes(place: Place) -> None:
    """Who catches `DnsityError` can tell the cases apart as the shell can."""
    from dnsity import DamagedFileError, DnsityError, GistMismatchError

    codes = []
    for call in (
        lambda: GistModel.from_pretrained("no-such-model"),
        lambda: GistModel.from_pretrained(place.other).ask(GistCache.load(place.gist), "What?"),
        lambda: GistCache.load(place.document),
    ):
        with pytest.raises(DnsityError) as caught:
            call()
        codes.append((type(caught.value), caught.value.exit_code))
    assert codes == [(BadInputError, 2), (GistMismatchError, 3), (DamagedFileError, 4)]


def test_a_document_of_fewest_tokens_works(run: Run, place: Place) -> None:
    path = _file(place, b"01234")
    done = run("compress", path, "-m", place.model, "--json")
    assert done.json["context_tokens"] == 5
