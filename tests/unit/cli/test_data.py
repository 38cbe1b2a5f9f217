"""`dnsity data`: what each command writes, and what it refuses without writing a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dnsity.data.example import Example
from dnsity.data.readers.records import read_examples
from running import Run
from tiny import DOCUMENT

PROSE = " ".join(f"The boat number {n} lies at the old wall of the harbour." for n in range(300))
LONGBENCH = {
    "input": "Who sailed?", "context": "Ann sailed at dawn.", "answers": ["Ann", "Ann Lee"],
    "length": 4, "dataset": "qasper", "language": "en", "all_classes": None, "_id": "a1",
}  # fmt: skip


@pytest.fixture
def prose(tmp_path: Path) -> Path:
    path = tmp_path / "prose.jsonl"
    path.write_text(json.dumps({"id": "a", "text": PROSE}) + "\n", encoding="utf-8")
    return path


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_niah_writes_documents_that_hold_their_answers(
    run: Run, prose: Path, tmp_path: Path, model_directory: str
) -> None:
    output = tmp_path / "made" / "niah.jsonl"
    options = ("--samples", 4, "--tokens", "600,800", "--needles", 2, "--kind", "word")
    done = run(
        "data", "niah", "--haystack", prose, "--tokenizer", model_directory, *options,
        "-o", output, "--json",
    )  # fmt: skip
    assert done.json == {"path": str(output), "documents": 4, "questions": 8}
    examples = list(read_examples(output))
    assert [e.details["tokens"] for e in examples] == [600, 800, 600, 800]
    assert all(q.answer in e.document for e in examples for q in e.questions)


def test_the_script_is_the_command(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = Path(__file__).parents[3] / "scripts" / "create_niah.py"
    output = tmp_path / "niah_en.jsonl"
    options = ["--samples", "2", "--tokens", "300", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list(read_examples(output))) == 2


def test_chunks_rebuild_the_document(run: Run, tmp_path: Path, model_directory: str) -> None:
    source, output = tmp_path / "a.md", tmp_path / "chunks.jsonl"
    source.write_text(PROSE, encoding="utf-8")
    options = ("--tokens", 200, "--tokenizer", model_directory)
    done = run("data", "chunk", source, *options, "-o", output, "--json")
    chunks = _lines(output)
    assert done.json["chunks"] == len(chunks) > 5
    assert "".join(chunk["text"] for chunk in chunks) == PROSE
    assert max(chunk["tokens"] for chunk in chunks) <= 200


def test_chunks_of_a_folder_name_the_way_to_each_file(
    run: Run, tmp_path: Path, model_directory: str
) -> None:
    folder, output = tmp_path / "notices", tmp_path / "chunks.jsonl"
    (folder / "old").mkdir(parents=True)
    (folder / "a.md").write_text(PROSE, encoding="utf-8")
    (folder / "old" / "a.md").write_text(PROSE.upper(), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"no text")
    run("data", "chunk", folder, "--tokens", 200, "--tokenizer", model_directory, "-o", output)
    chunks = _lines(output)
    for source, text in (("a.md", PROSE), (str(Path("old", "a.md")), PROSE.upper())):
        assert "".join(c["text"] for c in chunks if c["source"] == source) == text
    assert len({chunk["source"] for chunk in chunks}) == 2


def test_synthetic_questions_are_examples_with_answers(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "handbook.txt", tmp_path / "questions.jsonl"
    source.write_text(DOCUMENT, encoding="utf-8")
    done = run("data", "synthetic", source, "-o", output, "--json")
    assert done.json["documents"] == 1
    examples = list(read_examples(output))
    assert done.json["questions"] == sum(len(e.questions) for e in examples)
    again = tmp_path / "again.jsonl"
    run("data", "synthetic", source, "-o", again)
    assert again.read_bytes() == output.read_bytes()


def test_exams_are_examples_with_choices(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "exam.jsonl"
    done = run("data", "exams", "-o", output, "--json")
    examples = list(read_examples(output))
    assert done.json["documents"] == len(examples) >= 8
    assert done.json["questions"] == sum(len(e.questions) for e in examples) >= 60
    assert all(q.answer in q.choices for e in examples for q in e.questions)


def test_longbench_is_fetched_from_a_folder_and_converted(run: Run, tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    source.mkdir()
    (source / "qasper.jsonl").write_text(json.dumps(LONGBENCH) + "\n", encoding="utf-8")
    fetched = run(
        "data", "longbench", "--folder", folder, "--from", source, "--task", "qasper", "--json"
    )
    assert fetched.json["files"]["qasper.jsonl"] == "written"
    output = tmp_path / "qasper_examples.jsonl"
    done = run("data", "longbench", "--folder", folder, "--task", "qasper", "-o", output)
    assert done.code == 0
    (example,) = read_examples(output)
    assert isinstance(example, Example)
    assert example.questions[0].alternatives == ("Ann Lee",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["niah", "--haystack", "none.jsonl"], ["none.jsonl", "No such file"]),
        (["niah", "--language", "fr"], ["language", "'en' or 'ko'"]),
        (["niah", "--tokens", "many"], ["--tokens takes numbers"]),
        (["niah", "--tokenizer", "no-such-model"], ["no-such-model"]),
        (["chunk", "none.txt"], ["none.txt", "No such file"]),
        (["chunk", "."], ["no document in .", ".txt"]),
        (["synthetic", "none.txt"], ["none.txt", "No such file"]),
        (["synthetic", "x.txt", "--language", "fr"], ["allowed are en, ko"]),
        (["synthetic", "x.txt", "--endpoint", "http://localhost:1/v1"], ["needs --model"]),
        (["exams", "--from", "none.csv"], ["none.csv"]),
        (["longbench", "--folder", "x", "--task", "nonsense"], ["no task 'nonsense'", "qasper"]),
        (["longbench", "--folder", "x"], ["name it with --task"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("data", *arguments, "-o", "out.jsonl")
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    done = run("data", "exams", "-o", tmp_path / "file" / "exam.jsonl")
    assert done.code == 2
    assert "cannot write" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
