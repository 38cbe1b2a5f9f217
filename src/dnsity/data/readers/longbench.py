"""LongBench v1 (Bai et al., 2308.14508): its 21 tasks, records and prompts, and how to get them.

A folder contains `<task>.jsonl` (input, context, answers, length, dataset, language, all_classes,
_id) and the official prompts and output limits:
`dataset2prompt.json` with {context} and {input}, `dataset2maxlen.json` in tokens.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import IO, Any, NamedTuple

from dnsity.data.example import Detail, Example, Question
from dnsity.errors import BadInputError, first_line
from dnsity.io.atomic import atomic_path
from dnsity.io.jsonl import read_records, write_records

REPOSITORY, ARCHIVE, MANIFEST = "THUDM/LongBench", "data.zip", "manifest.json"
PROMPTS, LIMITS = "dataset2prompt.json", "dataset2maxlen.json"
MAX_FILE_BYTES = 1 << 28  # of one unpacked file; far above the largest of the benchmark
_TYPES: dict[str, Any] = dict.fromkeys(("input", "context", "dataset", "language", "_id"), str)
_TYPES.update(answers=list, length=int, all_classes=(list, type(None)))
_Openers = dict[str, Callable[[], IO[bytes]]]  # by file name


class LongBenchTask(NamedTuple):
    """The language of a task (en, zh or code) and its metric, as the official code names it."""

    language: str
    metric: str


TASKS = {
    task: LongBenchTask(language, metric)
    for language, metric, tasks in (
        ("en", "qa_f1", "narrativeqa qasper multifieldqa_en hotpotqa 2wikimqa musique triviaqa"),
        ("en", "rouge", "gov_report qmsum multi_news samsum"),
        ("en", "classification", "trec"),
        ("en", "count", "passage_count"),
        ("en", "retrieval", "passage_retrieval_en"),
        ("code", "code_sim", "lcc repobench-p"),
        ("zh", "qa_f1_zh", "multifieldqa_zh"),
        ("zh", "rouge_zh", "dureader vcsum"),
        ("zh", "classification", "lsht"),
        ("zh", "retrieval_zh", "passage_retrieval_zh"),
    )
    for task in tasks.split()
}


@dataclass(frozen=True, slots=True)
class LongBenchRecord:
    """One record of any task as in the file; `id` is `_id`, and `all_classes` is () for null."""

    input: str
    context: str
    answers: tuple[str, ...]
    length: int
    dataset: str
    language: str
    all_classes: tuple[str, ...]
    id: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """An official prompt `before + "{context}" + after`; both parts may contain `{input}`."""

    before: str
    after: str

    def around(self, text: str) -> tuple[str, str]:
        """Fill in the input; return the texts before and after the context."""
        return self.before.format(input=text), self.after.format(input=text)


def load_records(folder: Path, task: str) -> Iterator[LongBenchRecord]:
    """Read the records of any of the 21 tasks, one at a time, in the file's order.

    Args:
        folder: Where the `.jsonl` files are.
        task: One of `TASKS`.

    Raises:
        BadInputError: If the task is unknown, its file is missing, empty or damaged, or a record
            is not one of the task.
    """
    return _read_task(folder / _file(task), task)


def _read_task(path: Path, task: str) -> Iterator[LongBenchRecord]:
    number = 0
    for number, record in enumerate(read_records(path), start=1):
        where = f"{path} record {number}"
        for name, kind in _TYPES.items():
            if not isinstance(record.get(name, ...), kind):
                found = type(record[name]).__name__ if name in record else "missing"
                raise BadInputError(f"{where}: {name} is {found}; needed are {', '.join(_TYPES)}")
        answers, classes = record["answers"], record["all_classes"]
        if not answers or not all(isinstance(text, str) for text in (*answers, *(classes or ()))):
            raise BadInputError(f"{where}: answers and all_classes hold texts, at least one answer")
        if record["dataset"] != task:
            raise BadInputError(f"{where} is of {record['dataset']!r}, not of {task}; rename it")
        record.update(id=record["_id"], answers=tuple(answers), all_classes=tuple(classes or ()))
        yield LongBenchRecord(
            **{field.name: record[field.name] for field in fields(LongBenchRecord)}
        )
    if not number:
        raise BadInputError(f"{path} is empty; get it again")


def load(folder: Path, task: str) -> Iterator[Example]:
    """Read the records of a task as examples; see `load_records` and `to_example`."""
    return map(to_example, load_records(folder, task))


def to_example(record: LongBenchRecord) -> Example:
    """Turn a record into a document and its one question, empty where a task has no input.

    Raises:
        BadInputError: If the task is Chinese; dnsity reads English and Korean.
    """
    task = record.dataset
    if TASKS[task].language == "zh":
        raise BadInputError(
            f"{task} is Chinese, dnsity reads English and Korean; take another task"
        )
    question = Question(record.input, record.answers[0], f"longbench:{task}", record.answers[1:])
    details: dict[str, Detail] = {"length": record.length, "dataset": task, "_id": record.id}
    details["all_classes"] = list(record.all_classes)
    return Example(record.context, (question,), "en", record.id, details)


def prompts(folder: Path) -> dict[str, Prompt]:
    """Read the official prompts.

    Raises:
        BadInputError: If the file is missing or damaged, or a prompt lacks or repeats `{context}`.
    """
    return _read_prompts(folder / PROMPTS)


def _read_prompts(path: Path) -> dict[str, Prompt]:
    found = {}
    for task, text in _json(path).items():
        try:
            names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except (TypeError, ValueError):  # no text, or a brace without its pair
            names = []
        unknown = set(names) - {"context", "input"}
        if unknown or names.count("context") != 1 or "{context}" not in text:
            raise BadInputError(f"{path}, {task}: needs {{context}} once, maybe {{input}}")
        found[task] = Prompt(*text.split("{context}", 1))
    return found


def limits(folder: Path) -> dict[str, int]:
    """Read the official output limits, in tokens; errors as for `prompts`."""
    return _read_limits(folder / LIMITS)


def _read_limits(path: Path) -> dict[str, int]:
    found = _json(path)
    for task, limit in found.items():
        if not isinstance(limit, int) or limit < 1:
            raise BadInputError(f"{path}, {task}: {limit!r} is no number of tokens")
    return found


def fetch(output: Path, source: Path | None = None, tasks: Sequence[str] = ()) -> dict[str, str]:
    """Copy the benchmark's files to a folder; each is checked and written atomically.

    Args:
        output: The folder. Files that agree with its manifest.json (bytes, SHA-256) are kept.
        source: A folder with the `.jsonl` files or `data.zip`, or that archive (None: the hub).
        tasks: Requested tasks (default: all of the source).

    Returns:
        The state of every file: "kept", "written" or "absent". The hub's archive has no prompts.

    Raises:
        BadInputError: If a task is unknown or missing, the hub cannot be reached, an archive is
            unsafe or damaged, a file has wrong content, or a file cannot be written.
    """
    wanted = {_file(task) for task in tasks or TASKS}
    names = wanted | {PROMPTS, LIMITS}
    try:
        listed = dict(_json(output / MANIFEST)["files"])
    except (BadInputError, KeyError, TypeError, ValueError):
        listed = {}  # without a manifest everything is fetched
    missing = {name for name in names if _entry(output / name) != (listed.get(name) or {})}
    states = {name: "absent" if name in missing else "kept" for name in sorted(names)}
    if not missing or (source is None and not missing & wanted):
        return states
    with ExitStack() as stack:
        source = source or _download()
        openers = _openers(source, missing, stack)
        lacking = missing & wanted - set(openers)
        if lacking and (tasks or not openers):
            raise BadInputError(f"{source} has no {', '.join(sorted(lacking))}; take other tasks")
        for name, opener in openers.items():
            _put(output / name, opener, f"{source}: {name}")
            listed[name], states[name] = _entry(output / name), "written"
            write_records(output / MANIFEST, [{"benchmark": "LongBench v1", "files": listed}])
    return states


def _file(task: str) -> str:
    if task not in TASKS:
        raise BadInputError(f"LongBench has no task {task!r}; it has {', '.join(sorted(TASKS))}")
    return f"{task}.jsonl"


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")).items())
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        advice = f"copy it from the config folder of github.com/{REPOSITORY}"
        raise BadInputError(f"cannot read {path} ({first_line(error)}); {advice}") from error


def _entry(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _download() -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(REPOSITORY, ARCHIVE, repo_type="dataset"))
    except Exception as error:  # the hub client raises many kinds; all mean "not available"
        why = f"{REPOSITORY}/{ARCHIVE} could not be downloaded ({type(error).__name__})"
        raise BadInputError(f"{why}; get it elsewhere and give its folder: --from DIR") from error


def _openers(source: Path, wanted: set[str], stack: ExitStack) -> _Openers:
    loose: _Openers = {
        path.name: partial(io.FileIO, path)
        for folder in ("config", "data", ".")
        for path in (source / folder).glob("*.json*")
        if path.name in wanted
    }
    archive = source / ARCHIVE if source.is_dir() else source
    packed = _members(archive, wanted, stack) if archive == source or archive.is_file() else {}
    return {**packed, **loose}


def _members(archive: Path, wanted: set[str], stack: ExitStack) -> _Openers:
    try:
        opened = stack.enter_context(zipfile.ZipFile(archive))
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{archive} is no whole zip file ({first_line(error)})") from error
    found: _Openers = {}
    for info in opened.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or ":" in info.filename
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise BadInputError(f"{archive} is unsafe: {path} is a link or leads outside")
        if path.name in wanted and "__MACOSX" not in path.parts:
            if path.name in found or info.flag_bits & 1 or info.file_size > MAX_FILE_BYTES:
                raise BadInputError(f"{archive}: {info.filename} twice, encrypted or too large")
            found[path.name] = partial(opened.open, info)
    return found


def _put(target: Path, opener: Callable[[], IO[bytes]], where: str) -> None:
    """Copy a file and check it before it replaces the target."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as draft:
            with opener() as data, draft.open("wb") as copy:
                shutil.copyfileobj(data, copy, 1 << 20)
            _check(draft, target.name, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadInputError(f"{where} is damaged ({first_line(error)}); get it again") from error
    except OSError as error:
        raise BadInputError(f"cannot write {target}: {error.strerror or error}") from error


def _check(draft: Path, name: str, where: str) -> None:
    """Refuse a file whose content does not fit its name."""
    try:
        if name.endswith(".jsonl"):
            sum(1 for _ in _read_task(draft, name.removesuffix(".jsonl")))
        else:
            _read_prompts(draft) if name == PROMPTS else _read_limits(draft)
    except BadInputError as error:
        raise BadInputError(str(error).replace(str(draft), where)) from error
