"""LongBench: the official schema and prompts read as they are; only sound files put in place."""

from __future__ import annotations

import json
import runpy
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsity.data.example import Example, Question
from dnsity.data.readers import longbench
from dnsity.data.readers.longbench import (
    ARCHIVE,
    LIMITS,
    MANIFEST,
    PROMPTS,
    TASKS,
    fetch,
    limits,
    load,
    load_records,
    prompts,
    to_example,
)
from dnsity.errors import BadInputError

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "longbench"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")

# Harmless stand-ins with the traps of the real ones: braces of their own, no {input}, no newline.
TEMPLATES = {
    "qasper": "Article: {context}\n\n Question: {input}\n\nAnswer:",
    "gov_report": "Report:\n{context}\n\nNow, a summary.\n\nSummary:",
    "lcc": "Complete the code. \n{context}Next line:\n",
    "trec": "{input} first: {{as is}} {context}",
}


def record(task: str = "qasper", **changes: Any) -> dict[str, Any]:
    fields = {
        "input": "When does the harbour office open?",
        "context": "The harbour office opens at nine. {input} is no field here.",
        "answers": ["at nine", "9"],
        "length": 11,
        "dataset": task,
        "language": "en",
        "all_classes": None,
        "_id": f"{task}-0",
    }
    return {**fields, **changes}


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)


def folder_of(folder: Path, **files: str) -> Path:
    """A folder of `<task>.jsonl` files with the given content."""
    folder.mkdir(exist_ok=True)
    for task, content in files.items():
        (folder / f"{task}.jsonl").write_text(content, encoding="utf-8")
    return folder


def settings_into(folder: Path) -> None:
    (folder / PROMPTS).write_text(json.dumps(TEMPLATES), encoding="utf-8")
    (folder / LIMITS).write_text(json.dumps(dict.fromkeys(TEMPLATES, 64)), encoding="utf-8")


def archive_of(folder: Path, members: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return folder / ARCHIVE


# Tasks and records


def test_the_tasks_are_the_official_21() -> None:
    assert len(TASKS) == 21
    assert sum(task.language == "zh" for task in TASKS.values()) == 5
    assert TASKS["triviaqa"] == ("en", "qa_f1")
    assert TASKS["samsum"] == ("en", "rouge")
    assert TASKS["lsht"] == ("zh", "classification")
    assert TASKS["repobench-p"] == ("code", "code_sim")


def test_a_record_becomes_a_document_and_its_question(tmp_path: Path) -> None:
    folder_of(tmp_path, qasper=lines(record(all_classes=["a", "b"])))
    assert list(load(tmp_path, "qasper")) == [
        Example(
            document="The harbour office opens at nine. {input} is no field here.",
            questions=(
                Question(
                    "When does the harbour office open?", "at nine", "longbench:qasper", ("9",)
                ),
            ),
            language="en",
            source="qasper-0",
            details={
                "length": 11,
                "dataset": "qasper",
                "_id": "qasper-0",
                "all_classes": ["a", "b"],
            },
        )
    ]


def test_a_task_without_input_asks_nothing(tmp_path: Path) -> None:
    folder_of(tmp_path, gov_report=lines(record("gov_report", input="")))
    (example,) = load(tmp_path, "gov_report")
    assert example.questions[0].text == ""
    assert example.details["all_classes"] == []
    assert Example.from_record(json.loads(json.dumps(example.to_record())), "here") == example


def test_chinese_records_can_be_read_but_are_no_examples(tmp_path: Path) -> None:
    folder_of(tmp_path, dureader=lines(record("dureader", input="问题", language="zh")))
    (found,) = load_records(tmp_path, "dureader")
    assert found.input == "问题"
    with pytest.raises(BadInputError, match="dureader is Chinese, dnsity reads English and Korean"):
        to_example(found)


def test_a_wrong_task_name_lists_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"no task 'hotpot'; it has 2wikimqa, .*vcsum"
    ) as caught:
        list(load_records(tmp_path, "hotpot"))
    assert all(task in str(caught.value) for task in TASKS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(record()) + '{"input": ', r"qasper\.jsonl line 2 is not JSON"),
        (lines(record()) + "[]\n", r"qasper\.jsonl line 2 is a JSON list"),
        (lines({**record(), "dataset": "trec"}), r"record 1 is of 'trec', not of qasper"),
        (lines(record(), {"input": "?"}), r"record 2: context is missing; needed are input, cont"),
        (lines(record(length="11")), r"record 1: length is str"),
        (lines(record(answers=[])), r"record 1: answers .* at least one"),
        (lines(record(answers=[5])), r"record 1: answers"),
        (lines(record(all_classes=[5])), r"record 1: answers and all_classes"),
        ("", r"qasper\.jsonl is empty"),
    ],
)
def test_bad_records_are_named_by_file_and_place(
    tmp_path: Path, content: str, message: str
) -> None:
    folder_of(tmp_path, qasper=content)
    with pytest.raises(BadInputError, match=message):
        list(load_records(tmp_path, "qasper"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot read .*qasper\.jsonl"):
        list(load(tmp_path, "qasper"))


# Prompts and limits


def assert_official(found: longbench.Prompt, template: str) -> None:
    assert found.before + "{context}" + found.after == template
    for context, text in (("A {input} b {", "q} {context}"), ("", "")):
        assert context.join(found.around(text)) == template.format(context=context, input=text)


def test_prompts_come_apart_and_together_again(tmp_path: Path) -> None:
    settings_into(tmp_path)
    found = prompts(tmp_path)
    assert list(found) == list(TEMPLATES)
    for task, template in TEMPLATES.items():
        assert_official(found[task], template)
    assert limits(tmp_path) == dict.fromkeys(TEMPLATES, 64)


@pytest.mark.parametrize(
    "template", ["no field", "{context} {context}", "{context} {x}", "{context!r}", "{context", 5]
)
def test_other_prompts_are_refused(tmp_path: Path, template: object) -> None:
    (tmp_path / PROMPTS).write_text(json.dumps({"qasper": template}), encoding="utf-8")
    with pytest.raises(
        BadInputError, match=r"dataset2prompt\.json, qasper: needs \{context\} once"
    ):
        prompts(tmp_path)


@pytest.mark.parametrize("limit", [0, "64", None])
def test_limits_are_positive_numbers(tmp_path: Path, limit: object) -> None:
    (tmp_path / LIMITS).write_text(json.dumps({"qasper": limit}), encoding="utf-8")
    with pytest.raises(BadInputError, match=r"qasper: .* is no number of tokens"):
        limits(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_missing_or_damaged_settings_say_where_they_come_from(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / PROMPTS).write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError, match=r"dataset2prompt\.json .*config folder of github"):
        prompts(tmp_path)


@needs_shared
def test_every_official_prompt_is_rebuilt_byte_for_byte() -> None:
    templates = json.loads((SHARED / PROMPTS).read_text("utf-8"))
    found = prompts(SHARED)
    assert set(found) == set(limits(SHARED)) == set(TASKS)
    for task, template in templates.items():
        assert_official(found[task], template)


@needs_shared
def test_every_shared_file_loads() -> None:
    tasks = [task for task in TASKS if (SHARED / f"{task}.jsonl").exists()]
    assert tasks
    for task in tasks:
        examples = list(load(SHARED, task))
        assert examples
        for example in examples:
            assert example.document
            assert example.questions[0].kind == f"longbench:{task}"
            assert Example.from_record(example.to_record(), task) == example


# Fetching


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def from_folder(tmp_path: Path) -> Path:
    source = folder_of(tmp_path / "source", qasper=lines(record()), lcc=lines(record("lcc")))
    settings_into(source)
    return source


def from_checkout(tmp_path: Path) -> Path:
    """As the repository has it: settings in `config`, records in `data`."""
    source = tmp_path / "source"
    for folder in (source, source / "config"):
        folder.mkdir()
    settings_into(source / "config")
    folder_of(source / "data", qasper=lines(record()), lcc=lines(record("lcc")))
    return source


def from_archive(tmp_path: Path) -> Path:
    settings = json.dumps(TEMPLATES), json.dumps(dict.fromkeys(TEMPLATES, 64))
    members = {"data/qasper.jsonl": lines(record()), "data/lcc.jsonl": lines(record("lcc"))}
    members |= {PROMPTS: settings[0], LIMITS: settings[1], "data/qasper_e.jsonl": "not read"}
    members |= {"__MACOSX/data/lcc.jsonl": "junk"}
    return archive_of(tmp_path / "source", members)


@pytest.mark.parametrize("make", [from_folder, from_checkout, from_archive])
def test_fetch_takes_what_the_source_has(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    output = tmp_path / "deep" / "output"
    states = fetch(output, make(tmp_path))
    written = {"qasper.jsonl", "lcc.jsonl", PROMPTS, LIMITS}
    assert {name for name, state in states.items() if state == "written"} == written
    assert {states[name] for name in set(states) - written} == {"absent"}
    assert contents(output) == written | {MANIFEST}
    assert [example.source for example in load(output, "lcc")] == ["lcc-0"]
    assert str(tmp_path) not in (output / MANIFEST).read_text("utf-8")


def test_a_rerun_keeps_what_is_intact_and_replaces_the_rest(tmp_path: Path) -> None:
    source, output = from_folder(tmp_path), tmp_path / "output"
    fetch(output, source)
    assert set(fetch(output, source, ["qasper", "lcc"]).values()) == {"kept"}
    (output / "lcc.jsonl").write_text("altered", encoding="utf-8")
    states = fetch(output, source, ["qasper", "lcc"])
    assert (states["lcc.jsonl"], states["qasper.jsonl"]) == ("written", "kept")
    assert (output / "lcc.jsonl").read_text("utf-8") == lines(record("lcc"))


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"files": {"qasper.jsonl": null}}'])
def test_without_a_sound_manifest_all_is_fetched_again(tmp_path: Path, manifest: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / MANIFEST).write_text(manifest, encoding="utf-8")
    assert fetch(output, from_folder(tmp_path), ["qasper"])["qasper.jsonl"] == "written"


def test_a_run_that_fails_keeps_the_files_before_and_leaves_no_rest(tmp_path: Path) -> None:
    source, output = from_folder(tmp_path), tmp_path / "output"
    fetch(output, source, ["lcc"])
    (source / "qasper.jsonl").write_text(lines(record()) + "{broken\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"source: qasper\.jsonl line 2 is not JSON"):
        fetch(output, source, ["qasper", "lcc"])
    assert contents(output) == {"lcc.jsonl", PROMPTS, LIMITS, MANIFEST}


def test_a_folder_can_be_checked_in_place(tmp_path: Path) -> None:
    source = from_folder(tmp_path)
    fetch(source, source)
    assert fetch(source, source, ["lcc"])["lcc.jsonl"] == "kept"


def test_asked_for_tasks_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"source has no trec\.jsonl"):
        fetch(tmp_path / "output", from_folder(tmp_path), ["trec", "lcc"])
    with pytest.raises(BadInputError, match="LongBench has no task 'lc'"):
        fetch(tmp_path / "output", from_folder(tmp_path), ["lc"])
    assert not (tmp_path / "output").exists()


def test_an_empty_or_missing_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(BadInputError, match=r"source has no 2wikimqa\.jsonl"):
        fetch(tmp_path / "output", tmp_path / "source")
    with pytest.raises(BadInputError, match=r"none is no whole zip file \(.*No such file"):
        fetch(tmp_path / "output", tmp_path / "none")


@pytest.mark.parametrize(
    "name", ["../lcc.jsonl", "data/../../lcc.jsonl", "/lcc.jsonl", "..\\lcc.jsonl", "C:\\lcc.jsonl"]
)
def test_an_archive_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = archive_of(tmp_path / "source", {name: lines(record("lcc"))})
    with pytest.raises(BadInputError, match=r"data\.zip is unsafe"):
        fetch(tmp_path / "output", archive)
    assert contents(tmp_path) == {"source"}


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with zipfile.ZipFile(tmp_path / "source" / ARCHIVE, "w") as packed:
        link = zipfile.ZipInfo("data/lcc.jsonl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/hostname")
    with pytest.raises(BadInputError, match="is a link or leads outside"):
        fetch(tmp_path / "output", tmp_path / "source")


def test_a_file_twice_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = {"lcc.jsonl": lines(record("lcc")), "data/lcc.jsonl": lines(record("lcc"))}
    with pytest.raises(BadInputError, match=r"data/lcc\.jsonl twice, encrypted or too large"):
        fetch(tmp_path / "output", archive_of(tmp_path / "twice", twice))
    monkeypatch.setattr(longbench, "MAX_FILE_BYTES", 1000)
    bomb = archive_of(tmp_path / "bomb", {"lcc.jsonl": " " * 100_000})
    with pytest.raises(BadInputError, match="too large"):
        fetch(tmp_path / "output", bomb)


def test_a_truncated_or_altered_archive_is_refused(tmp_path: Path) -> None:
    archive = from_archive(tmp_path)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInputError, match=r"data\.zip is no whole zip file"):
        fetch(tmp_path / "output", archive)
    archive.write_bytes(whole[:60] + b"\0\0\0\0" + whole[64:])
    with pytest.raises(BadInputError, match=r"data\.zip: qasper\.jsonl is damaged"):
        fetch(tmp_path / "output", archive, ["qasper"])
    assert not any((tmp_path / "output").iterdir())


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"cannot write .*output"):
        fetch(tmp_path / "output", from_folder(tmp_path))


def test_without_the_hub_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"THUDM/LongBench/data\.zip could not .*--from DIR"):
        fetch(tmp_path / "output")


def test_the_hub_is_asked_only_for_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its archive has no prompts, so their absence is no reason to download it again."""
    archive = archive_of(tmp_path / "hub", {"data/lcc.jsonl": lines(record("lcc"))})
    calls: list[tuple[str, str, str]] = []

    def download(repository: str, name: str, *, repo_type: str) -> str:
        calls.append((repository, name, repo_type))
        return str(archive)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    expected = {"lcc.jsonl": "written", PROMPTS: "absent", LIMITS: "absent"}
    assert fetch(tmp_path / "output", tasks=["lcc"]) == expected
    assert fetch(tmp_path / "output", tasks=["lcc"]) == {**expected, "lcc.jsonl": "kept"}
    assert calls == [("THUDM/LongBench", "data.zip", "dataset")]


# The script


def run_script(*arguments: str) -> int:
    main = runpy.run_path(str(ROOT / "scripts" / "download_longbench.py"))["main"]
    return int(main(list(arguments)))


def test_the_script_fetches_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, output = from_folder(tmp_path), tmp_path / "output"
    arguments = ("--output", str(output), "--from", str(source), "--tasks", "lcc", "qasper")
    assert run_script(*arguments) == 0
    assert "written lcc.jsonl" in capsys.readouterr().out
    (output / PROMPTS).unlink()
    (source / PROMPTS).unlink()
    assert run_script(*arguments) == 0
    out = capsys.readouterr().out
    assert "kept    lcc.jsonl" in out
    assert "run this again with --from DIR" in out


def test_the_script_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script("--output", str(tmp_path), "--tasks", "lc") == BadInputError.exit_code
    assert "error: LongBench has no task 'lc'" in capsys.readouterr().err
