"""Run every model on every task by every method, resumably.

    DIR/manifest.json    configuration, code, versions, hardware; fingerprints of every model
    DIR/records.jsonl    one line per model, task, method and document, appended as they are done
    DIR/summary.json     scores and costs, written once all is done

A run that was killed goes on where it stopped when it is started again in the same directory:
nothing is asked twice, and a line the kill tore is done again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dnsity.config import write_json
from dnsity.data.collate import question_ids
from dnsity.errors import BadInputError
from dnsity.evaluation import manifest, record
from dnsity.evaluation.asking import ask
from dnsity.evaluation.method import Method
from dnsity.evaluation.methods import METHODS, build
from dnsity.evaluation.record import Key
from dnsity.evaluation.settings import EvalConfig
from dnsity.evaluation.summary import summarise
from dnsity.evaluation.task import Task
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel

RECORDS, SUMMARY = "records.jsonl", "summary.json"
Progress = Callable[[str, int, int], None]
"""Called with what is being done, documents done and documents in all (of one model)."""


def run(
    config: EvalConfig,
    directory: Path,
    *,
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Evaluate, or go on with an evaluation.

    Args:
        config: What to evaluate.
        directory: Where its three files go; empty, or of a run of the same configuration.
        device: Where models run.
        progress: Called before and after every document.

    Returns:
        The summary, as it is written.

    Raises:
        BadInputError: If the directory holds another run or cannot be written, a model or data is
            missing, or a method does not suit a model.
    """
    described = manifest.begin(config, directory, device)
    record.cut_torn_line(directory / RECORDS)
    guesses: dict[str, float | None] = {}
    loaders = [partial(GistModel.from_pretrained, name) for name in config.models]
    loaders += [partial(GistModel.from_base, name) for name in config.bases]
    for load in loaders:
        loaded = load(device=device, dtype=getattr(torch, config.dtype)).loaded
        manifest.identify(described, loaded, directory)
        guesses |= _run_model(config, loaded, directory / RECORDS, progress)
    rows = summarise(record.read(directory / RECORDS), guesses)
    summary = {"manifest": described, "rows": [row.model_dump() for row in rows]}
    write_json(directory / SUMMARY, summary)
    return summary


def _run_model(
    config: EvalConfig, loaded: LoadedModel, records: Path, progress: Progress
) -> dict[str, float | None]:
    """Append what is missing of one model; return the level of guessing of every task."""
    tasks = _tasks(config, loaded)
    methods = [n for n in config.methods if loaded.trained or not METHODS[n].needs_gists]
    if not methods:
        build(config.methods[0], loaded)  # says why
    done = {one.key for one in record.read(records)} if records.exists() else set()
    count, total = 0, len(methods) * sum(len(task.items) for task in tasks)
    with records.open("a", encoding="utf-8", newline="\n") as file:
        for task in tasks:
            reserve = _reserve(loaded, task)
            for name in methods:
                method = build(name, loaded, config.method, reserve)
                for number, item in enumerate(task.items):
                    progress(f"{task.name} {name}", count, total)
                    count += 1
                    if Key(loaded.name, task.name, name, item.id) in done:
                        continue
                    found = ask(method, task, item, _document(method, task, number))
                    file.write(found.to_line())
                    file.flush()
                    os.fsync(file.fileno())
                    progress(f"{task.name} {name}", count, total)
    return {task.name: task.random_guess for task in tasks}


def _tasks(config: EvalConfig, loaded: LoadedModel) -> list[Task]:
    """Draw what is wanted; lengths are counted in the model's own tokens."""
    tasks = [
        task
        for family in config.families()
        for task in family.draw(
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
            f"two tasks are called {doubled[0]}; tasks of one name need different runs"
        )
    return tasks


def _reserve(loaded: LoadedModel, task: Task) -> int:
    """Say how many positions the task's longest question and answer take."""
    template = loaded.lm.spec.question_template
    longest = max(
        len(question_ids(loaded.encoder, template, f"{question.text} {choice}"))
        for item in task.items
        for question in item.questions
        for choice in (max(question.choices, key=len, default=""),)
    )
    return longest + task.max_new_tokens


def _document(method: Method, task: Task, number: int) -> str:
    """Return the document a method gets: the item's own, or the nearest other one before it."""
    own = task.items[number].document
    if not method.other_document:
        return own
    before = (task.items[number - back].document for back in range(1, len(task.items)))
    return next((document for document in before if document != own), "")
