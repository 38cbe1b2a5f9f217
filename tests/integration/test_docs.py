"""The guide builds without a warning, and its commands and code do what the pages say."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dnsity.cli.app import app, main

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DEMONSTRATION = ROOT / "src" / "dnsity" / "cli" / "demo_documents"
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "README.ko.md", *DOCS.rglob("*.md")]
    if "_build" not in path.parts and path.name != "cli.md"  # both are made by a build
)
EXECUTED = {"get_started", "get_started.ko", "extend", "file_format"}
"""Pages whose blocks all run in seconds; of the others the commands are read only."""


def _blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in found if language in languages]


def _commands(block: str) -> list[str]:
    lines = block.replace("\\\n", " ").splitlines()
    return [line for line in lines if re.search(r"(^|\| )dnsity ", line)]


LINKING = [*PAGES, *ROOT.glob("*.md")]


@pytest.mark.parametrize("page", sorted(set(LINKING)), ids=lambda page: page.name)
def test_every_link_on_a_page_leads_to_a_file_of_the_repository(page: Path) -> None:
    """Not to what a build makes: pages are read on the repository's site as well."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    made = {DOCS / "cli.md", DOCS / "gist_demo.ipynb"}
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not re.match(r"\w+:", target):
            path = (page.parent / target).resolve()
            assert path.exists(), target
            assert path not in made, target


def test_configurations_say_what_data_they_need() -> None:
    for path in (ROOT / "experiments" / "configs").glob("*.yaml"):
        text = path.read_text("utf-8")
        needs = "../shared" in text.replace("(../shared/", "")
        assert needs == text.startswith("# Needs "), path.name


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_configuration_without_its_data_says_what_to_do(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = {"train": "gist_25", "eval": "eval_far"}[command]
    monkeypatch.chdir(tmp_path)
    config = ROOT / "experiments" / "configs" / f"{name}.yaml"
    monkeypatch.setattr(
        sys, "argv", ["dnsity", command, "--config", str(config), "--output-dir", "out"]
    )
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert "cannot read ../shared/" in said
    assert "name files of your own" in said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_can_be_typed(page: Path) -> None:
    root = typer.main.get_command(app)
    for line in (line for _, block in _blocks(page, "bash") for line in _commands(block)):
        if "..." in line:
            continue
        words = shlex.split(
            line.rpartition("| ")[2].replace("[", "").replace("]", ""), comments=True
        )
        command, arguments = root, words[1:]
        while arguments and arguments[0] in getattr(command, "commands", {}):
            command = command.commands[arguments.pop(0)]
        command.make_context(line, arguments)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem in EXECUTED], ids=lambda page: page.stem
)
def test_code_on_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    english, korean = DEMONSTRATION / "handbook_en.txt", DEMONSTRATION / "notice_ko.txt"
    (tmp_path / "notices").mkdir()
    for source, name in [(english, "handbook.txt"), (korean, "notice.txt")]:
        shutil.copyfile(source, tmp_path / name)
    shutil.copyfile(korean, tmp_path / "notices" / "notice.txt")
    monkeypatch.chdir(tmp_path)
    if page.stem == "file_format":
        _type(monkeypatch, "dnsity compress handbook.txt")
    space = {"__name__": "page"}
    for language, block in _blocks(page, "bash", "python"):
        if language == "python":
            exec(compile(block, str(page), "exec", dont_inherit=True), space)
            continue
        for line in _commands(block):
            _type(monkeypatch, line)
    assert "error" not in capsys.readouterr().err


def _type(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Run a command in this process; what is piped into it comes from a shell."""
    piped, _, command = line.rpartition(" | ")
    before = subprocess.run(["bash", "-c", piped or "true"], capture_output=True, check=True).stdout
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(before), encoding="utf-8"))
    monkeypatch.setattr(sys, "argv", shlex.split(command, comments=True))
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, line


def test_which_bases_are_possible_is_as_the_page_says() -> None:
    blocks = [block for _, block in _blocks(DOCS / "use_your_base.md", "python")]
    [block] = [block for block in blocks if "judge" in block]
    exec(compile(block, "use_your_base.md", "exec", dont_inherit=True), {})


def test_the_guide_builds_without_a_warning(tmp_path: Path) -> None:
    """Without the notebook's outputs: `test_notebook` runs it."""
    pytest.importorskip("sphinx")
    source = tmp_path / "docs"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build"))
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            str(source),
            str(tmp_path / "out"),
        ],
        env={**os.environ, "NOTEBOOK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.html")
    }
    assert {"index.html", "api.html", "cli.html", "gist_demo.html", "architecture.html"} <= pages
    assert "dnsity chat" in (tmp_path / "out" / "cli.html").read_text("utf-8")


def test_pages_named_in_the_source_exist() -> None:
    named = {
        (name, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "src").rglob("*")
        if path.suffix in (".py", ".yaml", ".md")
        for name in re.findall(r"docs/[\w/.-]*\.md", path.read_text("utf-8"))
    }
    assert named
    assert not {each for each in named if not (ROOT / each[0]).is_file()}


def test_the_log_has_an_index() -> None:
    text = (DOCS / "log.md").read_text("utf-8")
    index = re.findall(r"^\| (\S+) \| \[(.+)\]\(#.+\) \| \S.* \|$", text, re.MULTILINE)
    assert index == re.findall(r"^## (\S+) (.+)$", text, re.MULTILINE)


def test_files_named_on_the_architecture_page_exist() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8")
    files = set(
        re.findall(r"`((?:cli|data|evaluation|gist|inference|io|model|training)/[\w/.]+)", text)
    )
    assert len(files) > 20
    assert not {each for each in files if not (ROOT / "src" / "dnsity" / each).exists()}


def test_messages_in_troubleshooting_are_those_of_the_program() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*(\+ )?f?"', "", source)  # strings written over several lines
    table = (DOCS / "troubleshooting.md").read_text("utf-8").split("\n\n")[2]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:]]
    assert len(rows) > 15
    for message in (text for row in rows for text in re.findall(r"`([^`]+)`", row)):
        for part in re.split(r", |\.\.\.|\b[NGS]\b|'\w+'|\w+\.json|TypeError", message):
            assert part.strip(" ,:?()") in joined, f"{message!r}: nothing says {part!r}"
