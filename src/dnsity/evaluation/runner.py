"""Evaluation runs: every model and method on every task, resumable.

    DIR/manifest.json    configuration, code, versions, hardware; fingerprints of every model
    DIR/records.jsonl    one line per model, task, method and document, appended one by one
    DIR/summary.json     scores and costs, written at the end

A run that was killed resumes when it is started again in the same directory. Finished records are
not evaluated again; an incomplete last line is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dnsity.errors import BadInputError
from dnsity.evaluation import manifest, record
from dnsity.evaluation.answering import ask
from dnsity.evaluation.method import Method
from dnsity.evaluation.methods import among, build, class_of
from dnsity.evaluation.metrics import METRICS
from dnsity.evaluation.record import Key, Record
from dnsity.evaluation.settings import EvalConfig, Subject
from dnsity.evaluation.summary import summarise
from dnsity.evaluation.task import CHOICE, Task
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.io.atomic import write_json
from dnsity.io.jsonl import append_record, drop_incomplete_line
from dnsity.io.workers import parallel_map

RECORDS, SUMMARY = "records.jsonl", "summary.json"
Progress = Callable[[str, int, int], None]
"""Called with a description, the documents done, and their total (for one model)."""


def run(
    config: EvalConfig,
    directory: Path,
    *,
    device: str = "cpu",
    jobs: int = 1,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Start or resume an evaluation.

    Args:
        config: Configuration of the evaluation.
        directory: Directory of the run; new, or with a run of the same configuration.
        device: Device of the models.
        jobs: Number of processes. Each one is timed on its share of the cores; all other results
            are the same as with one process.
        progress: Called before and after every document.

    Returns:
        The summary, as written to disk.

    Raises:
        BadInputError: If the directory has another run or is not writable, if a model or data is
            missing, or if a method does not support a model.
    """
    described = manifest.begin(config, directory, device, jobs)
    drop_incomplete_line(directory / RECORDS)
    guesses: dict[str, float | None] = {}
    for subject in config.subjects():
        evaluator = _Evaluator(config, subject, device)
        manifest.identify(described, evaluator.loaded, directory)
        _run_model(evaluator, directory / RECORDS, progress, jobs)
        guesses |= {task.name: task.random_guess for task in evaluator.tasks}
    rows = summarise(record.read(directory / RECORDS), guesses)
    summary = {"manifest": described, "rows": [row.model_dump() for row in rows]}
    write_json(directory / SUMMARY, summary)
    return summary


class _Unit(NamedTuple):
    """The work for one record: index of the task, name of the method, index of the item."""

    task: int
    method: str
    item: int


class _Evaluator:
    """Evaluates one model on its tasks; caches the method that it built last.

    Args:
        config: Configuration of the evaluation.
        subject: Model to evaluate.
        device: Device of the model.
    """

    def __init__(self, config: EvalConfig, subject: Subject, device: str) -> None:
        """Load the model and its tasks."""
        self.config, self.subject, self.device = config, subject, device
        self.loaded = _load(config, subject, device)
        self.tasks = _tasks(config, self.loaded)
        self._reserves = [_reserve(self.loaded, task) for task in self.tasks]
        self._method = lru_cache(maxsize=1)(self._build)

    def units(self) -> list[_Unit]:
        """List the units of work of this model, by task and method.

        Raises:
            BadInputError: If the model supports no method, or no task allows any of them.
        """
        suitable = [
            name
            for name in self.config.methods
            if self.loaded.trained or not class_of(name).needs_gists
        ]
        if not suitable:
            build(self.config.methods[0], self.loaded)  # raises with the reason
        units = [
            _Unit(number, name, item)
            for number, task in enumerate(self.tasks)
            for name in (among(suitable, task.methods) if task.methods else suitable)
            for item in range(len(task.items))
        ]
        if not units:
            raise BadInputError(
                f"no task allows any of the methods {', '.join(suitable)}; choose other methods, "
                "or change `methods` of the tasks"
            )
        return units

    def key(self, unit: _Unit) -> Key:
        """Return the key of a unit's record."""
        task = self.tasks[unit.task]
        return Key(self.loaded.name, task.name, unit.method, task.items[unit.item].id)

    def ask(self, unit: _Unit) -> Record:
        """Answer all questions about one document with one method."""
        task = self.tasks[unit.task]
        method = self._method(unit.task, unit.method)
        return ask(method, task, task.items[unit.item], _document(method, task, unit.item))

    def _build(self, task: int, method: str) -> Method:
        return build(method, self.loaded, self.config.method, self._reserves[task])


def _run_model(evaluator: _Evaluator, records: Path, progress: Progress, jobs: int) -> None:
    """Evaluate one model and append the missing records."""
    done = {one.key for one in record.read(records)} if records.exists() else set()
    units = evaluator.units()
    todo = [unit for unit in units if evaluator.key(unit) not in done]
    count = len(units) - len(todo)
    here = (evaluator.ask(unit) for unit in todo)
    with closing(_in_processes(evaluator, todo, jobs) if jobs > 1 else here) as answers:
        for unit in todo:
            now = f"{evaluator.tasks[unit.task].name} {unit.method}"
            progress(now, count, len(units))
            append_record(records, next(answers).to_json())
            count += 1
            progress(now, count, len(units))


def _in_processes(evaluator: _Evaluator, todo: Sequence[_Unit], jobs: int) -> Generator[Record]:
    """Spread documents over processes, each with a model and its share of the cores."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    given = (evaluator.config, evaluator.subject, evaluator.device, threads)
    return parallel_map(_work, todo, workers=jobs, initializer=_start_worker, initargs=given)


_worker: _Evaluator
"""The model that a worker process evaluates."""


def _start_worker(config: EvalConfig, subject: Subject, device: str, threads: int) -> None:
    global _worker  # loaded once per process, not once per document
    torch.set_num_threads(threads)
    _worker = _Evaluator(config, subject, device)


def _work(unit: _Unit) -> Record:
    return _worker.ask(unit)


def _load(config: EvalConfig, subject: Subject, device: str) -> LoadedModel:
    """Load a model, named as in records."""
    dtype = getattr(torch, config.dtype)
    if subject.frame is None:
        model = GistModel.from_pretrained(subject.name, device=device, dtype=dtype)
    else:
        plain = subject.frame == "plain"
        model = GistModel.from_base(
            subject.name,
            device=device,
            dtype=dtype,
            frame=subject.frame,
            system=None if plain else config.system,
            instruction=None if plain else config.instruction,
        )
    return replace(model.loaded, name=subject.label)


def _tasks(config: EvalConfig, loaded: LoadedModel) -> list[Task]:
    """Build the selected tasks; lengths are in tokens of the model."""
    tasks = [
        replace(task, methods=tuple(family.methods))
        for family in config.families()
        for task in family.make_tasks(
            loaded.encoder,
            limit=min(config.limit, family.limit or config.limit),
            seed=config.seed,
        )
        if config.wants(task.name)
    ]
    names = [task.name for task in tasks]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadInputError(
            f"two tasks are called {doubled[0]}; put tasks of the same name into different runs"
        )
    for task in tasks:
        if task.metric != CHOICE:  # reports a missing package before the run
            question = task.items[0].questions[0]
            METRICS[task.metric](question.answer, question)
    return tasks


def _reserve(loaded: LoadedModel, task: Task) -> int:
    """Return the number of positions for the longest question and answer of a task."""
    longest = max(
        len(loaded.frame.question(f"{question.text} {choice}"))
        for item in task.items
        for question in item.questions
        for choice in (max(question.choices, key=len, default=""),)
    )
    return longest + task.max_new_tokens


def _document(method: Method, task: Task, number: int) -> str:
    """Return the document for a method: the item's own, or the nearest different one before it."""
    own = task.items[number].document
    if not method.other_document:
        return own
    before = (task.items[number - back].document for back in range(1, len(task.items)))
    return next((document for document in before if document != own), "")
