"""The command line is kind to people: examples, suggestions, colours, chat, results."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import dnsity
from dnsity.cli import demo
from dnsity.cli.app import _record_interrupts, app
from dnsity.cli.console import harmless
from dnsity.cli.results import provenance, read
from dnsity.config import Config
from dnsity.inference.generate import Answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.io.provenance import manifest
from running import Run
from tiny import DOCUMENT, QUESTIONS

RESULTS = Path(__file__).resolve().parents[3] / "results"


def _commands(group: click.Command, path: str = "dnsity") -> Iterator[tuple[str, click.Command]]:
    subcommands = getattr(group, "commands", None)
    if subcommands is None:
        yield path, group
        return
    for name, command in subcommands.items():
        yield from _commands(command, f"{path} {name}")


COMMANDS = dict(_commands(typer.main.get_command(app)))


# Help, suggestions, versions, colours


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_an_example_that_can_be_typed(path: str) -> None:
    examples = re.findall(r"Example: (dnsity .*)", COMMANDS[path].help or "")
    assert examples
    for example in examples:
        assert example.startswith(path)
        COMMANDS[path].make_context(path, shlex.split(example.removeprefix(path)))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("compres", "'compress'"), ("data nia", "'niah'"), ("ask --modle", "--model")],
)
def test_a_mistyped_command_is_met_with_the_one_meant(run: Run, typed: str, meant: str) -> None:
    done = run(*typed.split())
    assert done.code == 2
    assert meant in done.err


def test_version_names_the_libraries_too(run: Run) -> None:
    done = run("--version")
    assert done.code == 0
    assert re.match(
        rf"dnsity {re.escape(dnsity.__version__)} \(python 3\S+, torch \S+, trans", done.out
    )


def test_a_shell_can_complete_commands() -> None:
    done = _process(
        {"_DNSITY_COMPLETE": "complete_bash", "COMP_WORDS": "dnsity ch", "COMP_CWORD": "1"}
    )
    assert done.stdout.split() == ["chat"]


def test_no_colours_in_a_file_and_under_no_color() -> None:
    assert "\x1b" not in _process({}, "--help").stdout
    colour = re.compile(r"\x1b\[[\d;]*3\d")
    assert colour.search(_on_a_terminal({}))
    assert not colour.search(_on_a_terminal({"NO_COLOR": "1"}))


def _environment(more: dict[str, str]) -> dict[str, str]:
    of_others = ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
    kept = {name: value for name, value in os.environ.items() if name not in of_others}
    return {**kept, "TERM": "xterm-256color", **more}


_ENTRY = [
    sys.executable,
    "-c",
    "import sys; from dnsity.cli.app import main; sys.argv[0] = 'dnsity'; main()",
]


def _process(more: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_ENTRY, *arguments], env=_environment(more), capture_output=True, text=True, check=False
    )


def _on_a_terminal(more: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    subprocess.run([*_ENTRY, "runs", "--help"], env=_environment(more), stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    return shown


def test_the_demonstration_cuts_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for document in read(RESULTS)["demo"]["documents"]:
        demo._show(document)
    assert "\N{HORIZONTAL ELLIPSIS}" not in capsys.readouterr().out


# ask and chat


def test_ask_reads_questions_from_standard_input(
    run: Run, gist_file: Path, model_directory: str
) -> None:
    given = run("ask", gist_file, *QUESTIONS, "-m", model_directory, "--json").json
    piped = run(
        "ask", gist_file, "-", "-m", model_directory, "--json",
        stdin="\n\n".join(QUESTIONS).encode(),
    ).json  # fmt: skip
    texts = [[answer["answer"] for answer in each["answers"]] for each in (given, piped)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == len(QUESTIONS)


def test_a_question_that_is_a_files_name_can_be_asked(
    run: Run, gist_file: Path, model_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(gist_file.parent)
    Path("Who?").write_text("a file")
    assert run("ask", gist_file, "Who?", "-m", model_directory).code == 2
    done = run("ask", gist_file, "-q", "Who?", "-m", model_directory, "--json").json
    assert [answer["question"] for answer in done["answers"]] == ["Who?"]


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_empty_answer_is_said(
    run: Run,
    gist_file: Path,
    model_directory: str,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """Standard output keeps a line for each answer; the remark is for people."""

    def answer(questions: str | list[str]) -> Any:
        made = Answer("What?", text, 0.0, 0.0, 0)
        return made if isinstance(questions, str) else [made for _ in questions]

    monkeypatch.setattr(GistModel, "ask", lambda self, gist, asked, *_, **__: answer(asked))
    done = run("ask", gist_file, "What?", "-m", model_directory)
    assert (done.code, done.out, done.err) == (0, text + "\n", "(no answer)\n")
    done = run("ask", gist_file, "What?", "-m", model_directory, "--json")
    assert (done.json["answers"][0]["answer"], done.err) == (text, "")
    done = run("chat", gist_file, "-m", model_directory, stdin=b"What?\n")
    assert (done.code, done.out, done.err) == (0, text + "\n", "(no answer)\n")


def test_a_piped_chat_answers_line_by_line(run: Run, gist_file: Path, model_directory: str) -> None:
    model = GistModel.from_pretrained(model_directory)
    expected = [model.ask(GistCache.load(gist_file), question).text for question in QUESTIONS]
    done = run(
        "chat", gist_file, "-m", model_directory,
        stdin="\n".join([*QUESTIONS, "/quit", "never asked"]).encode(),
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert done.out == harmless("".join(f"{text}\n" for text in expected))


def test_chat_compares_with_the_whole_document(
    run: Run, gist_file: Path, document: Path, model_directory: str
) -> None:
    from dnsity.evaluation.methods import build

    full = build("full", GistModel.from_pretrained(model_directory).loaded)
    expected = full.answer(full.ingest(DOCUMENT), [QUESTIONS[0]])[0].text
    for file, command in ((gist_file, f"/full {document}"), (document, "/full")):
        done = run(
            "chat", file, "-m", model_directory,
            stdin=f"{QUESTIONS[0]}\n{command}\n/stats\n/help\n".encode(),
        )  # fmt: skip
        assert (done.code, done.err) == (0, "")
        assert harmless(f"full context: {expected}\n") in done.out
        assert "gists (" in done.out
        assert "1 question, first token after" in done.out
        assert "/quit" in done.out


def test_a_chat_outlives_mistakes(run: Run, gist_file: Path, model_directory: str) -> None:
    lines = ["/full", "/nonsense", "why " * 600, QUESTIONS[0], "/full", "/full missing.txt"]
    done = run("chat", gist_file, "-m", model_directory, stdin="\n".join(lines).encode())
    assert done.code == 0
    errors = done.err.splitlines()
    assert len(errors) == 5
    for error, part in zip(
        errors, ["/full DOCUMENT", "'/nonsense'", "shorten", "/full DOCUMENT", "missing.txt"],
        strict=True,
    ):  # fmt: skip
        assert part in error
    assert len(done.out.splitlines()) == 1


def test_ctrl_c_leaves_a_chat(
    run: Run, gist_file: Path, model_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    done = run("chat", gist_file, "-m", model_directory)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_what_a_command_is_for_fits_every_list_of_commands() -> None:
    """Lists cut a longer first sentence off, in the guide at 45 characters."""

    def cut(group: Any) -> list[str]:
        found = []
        for command in group.commands.values():
            found += cut(command) if hasattr(command, "commands") else []
            found += [command.name] if command.get_short_help_str().endswith("...") else []
        return found

    assert cut(typer.main.get_command(app)) == []


# results


def test_results_are_shown_with_their_provenance(run: Run) -> None:
    found = read(RESULTS)
    done = run("results")
    assert (done.code, done.err) == (0, "")
    for name, result in found.items():
        assert f"{name}.json" in done.out
        assert result["manifest"]["commit"][:10] in done.out
        assert f"{result['manifest']['hardware']['cores']} cores" in done.out
    assert json.loads(run("results", "--json").out) == found


def test_variants_of_a_run_stand_below_one_another(run: Run, tmp_path: Path) -> None:
    probe = {"gist": 0.25, "full": 0.5, "none": 0.0}
    row = {"task": "niah", "method": "refine", "score": {"value": 0.75}, "cost": {"ingest_s": 60}}
    compared: list[dict[str, Any]] = [
        {"variant": "a", "change": "nothing", "seed": 0, "probe": probe},
        {"variant": "b", "change": "ten gists", "seed": 0, "rows": [row]},
        {"variant": "a", "change": "nothing", "seed": 7, "probe": {**probe, "gist": 0.26}},
    ]
    result = {"compared": compared, "manifest": manifest(Config(), seed=0)}
    (tmp_path / "a.json").write_text(json.dumps(result), "utf-8")
    shown = run("results", "--folder", tmp_path).out
    order = ["25%", "26%", "ten gists", "75% (60 s)"]
    assert sorted(order, key=shown.index) == order


def test_provenance_says_code_date_machine_and_settings() -> None:
    class Settings(Config):
        rounds: int = 7

    described = manifest(Settings(), seed=3)
    said = provenance({**described, "dirty": True})
    for part in (described["commit"][:10], "uncommitted", described["date"], "seed 3", "rounds 7"):
        assert part in said


@pytest.mark.parametrize("content", [None, "{}", "no json", '{"manifest": {}}'])
def test_a_folder_without_results_is_refused(run: Run, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content, encoding="utf-8")
    done = run("results", "--folder", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path) in done.err


def test_an_interrupt_that_python_drops_comes_again(capfd: pytest.CaptureFixture[str]) -> None:
    """In the callback of a weak reference Python prints an exception and continues."""

    class Thing:
        pass

    def work() -> None:
        thing = Thing()
        _watch = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
        with _record_interrupts() as noted:
            del thing
            assert noted, "it was raised, and dropped"
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "ignored" not in capfd.readouterr().err
