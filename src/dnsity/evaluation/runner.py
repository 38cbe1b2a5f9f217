"""Run every model on every task by every method, resumably.

    DIR/manifest.json    configuration, code, versions, hardware; fingerprints of every model
    DIR/records.jsonl    one line per model, task, method and document, appended as they are done
    DIR/summary.json     scores and costs, written once all is done

A run that was killed goes on where it stopped when it is started again in the same directory:
nothing is asked twice, and a line the kill tore is done again.
"""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dnsity.config import manifest, write_json
from dnsity.data.collate import question_ids
from dnsity.data.example import Question
from dnsity.errors import BadInputError
from dnsity.evaluation import record
from dnsity.evaluation.memory import Peak
from dnsity.evaluation.method import Method, Reply
from dnsity.evaluation.methods import METHODS, build
from dnsity.evaluation.metrics import METRICS
from dnsity.evaluation.record import Answered, Key, Record
from dnsity.evaluation.settings import EvalConfig
from dnsity.evaluation.summary import summarise
from dnsity.evaluation.task import CHOICE, Item, Task
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel

MANIFEST, RECORDS, SUMMARY = "manifest.json", "records.jsonl", "summary.json"
Progress = Callable[[str, int, int], None]
"""Called with what is being done, documents done and documents in all."""
_NO_REPLY = Reply("", 0.0, 0.0, 0, 0, 0)
_log = logging.getLogger(__name__)


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
    described = _begin(config, directory, device)
    records_path = directory / RECORDS
    record.cut_torn_line(records_path)
    records = record.read(records_path) if records_path.exists() else []
    done = {one.key for one in records}
    guesses: dict[str, float | None] = {}
    names = [(name, True) for name in config.models] + [(name, False) for name in config.bases]
    with records_path.open("a", encoding="utf-8", newline="\n") as file:
        for name, has_gists in names:
            load = GistModel.from_pretrained if has_gists else GistModel.from_base
            loaded = load(name, device=device, dtype=getattr(torch, config.dtype)).loaded
            _identify(described, loaded, directory)
            tasks = [
                task
                for family in config.families()
                for task in family.draw(loaded.encoder, limit=config.limit, seed=config.seed)
                if config.wants(task.name)
            ]
            _require_unique(tasks)
            guesses.update({task.name: task.random_guess for task in tasks})
            methods = _methods(config, loaded, tasks)
            total = sum(len(task.items) for task in tasks) * len(config.methods)
            count = 0
            for task, method in methods:
                what = f"{task.name} {method.name}"
                for number, item in enumerate(task.items):
                    progress(what, count, total)
                    count += 1
                    key = Key(name, task.name, method.name, item.id)
                    if key in done:
                        continue
                    found = _ask(method, task, item, _ingested_instead(method, task, number))
                    file.write(found.to_line())
                    file.flush()
                    os.fsync(file.fileno())
                    records.append(found)
                    progress(what, count, total)
            del loaded, methods
            gc.collect()
    rows = [row.model_dump() for row in summarise(records, guesses)]
    summary = {"manifest": described, "rows": rows}
    write_json(directory / SUMMARY, summary)
    return summary


def _begin(config: EvalConfig, directory: Path, device: str) -> dict[str, Any]:
    """Write the manifest first; of a run that is there already, see that it is the same one."""
    path = directory / MANIFEST
    described = manifest(config, config.seed)
    described["models"] = {}
    if device.startswith("cuda"):
        described["hardware"]["device"] = torch.cuda.get_device_name(device)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before: dict[str, Any] = json.loads(path.read_text("utf-8"))
            different = [
                key
                for key in described["config"] | before["config"]
                if described["config"].get(key) != before["config"].get(key)
            ]
            if different:
                raise BadInputError(
                    f"{directory} holds a run of another configuration ({', '.join(different)} "
                    "differ); choose another --output-dir, or remove it"
                )
            again = {key: described[key] for key in ("commit", "dirty")}
            if again != {key: before[key] for key in again}:
                before.setdefault("resumed", []).append(again)  # records of two states of the code
            described = before
        write_json(path, described)
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(
            f"{path} is no manifest of an evaluation; choose another --output-dir"
        ) from error
    return described


def _identify(described: dict[str, Any], loaded: LoadedModel, directory: Path) -> None:
    """Note what a model is; refuse to go on with other weights under the same name."""
    known = described["models"].setdefault(loaded.name, loaded.fingerprints)
    if known != loaded.fingerprints:
        raise BadInputError(
            f"model {loaded.name} has changed since this run began; choose another --output-dir"
        )
    write_json(directory / MANIFEST, described)


def _require_unique(tasks: Sequence[Task]) -> None:
    names = [task.name for task in tasks]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadInputError(
            f"two tasks are called {doubled[0]}; tasks of one name need different runs"
        )


def _methods(
    config: EvalConfig, loaded: LoadedModel, tasks: Sequence[Task]
) -> list[tuple[Task, Method]]:
    """Pair tasks and methods; each method leaves room for the task's questions and answers."""
    names = [n for n in config.methods if loaded.trained or not METHODS[n].needs_gists]
    if not names:
        build(config.methods[0], loaded)  # says why
    template = loaded.lm.spec.question_template
    pairs = []
    for task in tasks:
        texts = [
            question.text + " " + max(question.choices, key=len, default="")
            for item in task.items
            for question in item.questions
        ]
        longest = max(len(question_ids(loaded.encoder, template, text)) for text in texts)
        reserve = longest + task.max_new_tokens
        pairs += [(task, build(name, loaded, config.method, reserve)) for name in names]
    return pairs


def _ingested_instead(method: Method, task: Task, number: int) -> str:
    """Return the document a method gets: the item's own, or the nearest other one before it."""
    own = task.items[number].document
    if not method.other_document:
        return own
    before = (task.items[number - back].document for back in range(1, len(task.items)))
    return next((document for document in before if document != own), "")


def _ask(method: Method, task: Task, item: Item, document: str) -> Record:
    """Ask everything about one document; what cannot be answered is recorded and survived."""
    loaded = method.loaded
    peak = Peak(loaded.device)
    ingest_s, note, error = 0.0, "", ""
    replies = [_NO_REPLY] * len(item.questions)
    try:
        if not document:
            raise BadInputError("there is no other document in the task")
        ingested = method.ingest(document)
        ingest_s, note = ingested.seconds, ingested.note
        if task.metric == CHOICE:
            replies = method.choose(ingested, item.questions)
        else:
            texts = [question.text for question in item.questions]
            replies = method.answer(ingested, texts, Sampling(max_new_tokens=task.max_new_tokens))
    except BadInputError as refusal:
        error = str(refusal)
    except (MemoryError, RuntimeError) as failure:
        if not _is_out_of_memory(failure):
            raise
        error = f"out of memory: {str(failure).splitlines()[0][:200]}"
        _log.warning("%s, %s, item %s: %s", task.name, method.name, item.id, error)
    if error.startswith("out of memory"):  # after the except block, which kept the tensors alive
        gc.collect()
        if loaded.device.type == "cuda":
            torch.cuda.empty_cache()
    return Record(
        model=loaded.name,
        task=task.name,
        version=task.version,
        metric=task.metric,
        method=method.name,
        item=item.id,
        labels=dict(item.labels),
        context_tokens=len(loaded.encoder.start_ids) + len(loaded.encoder.encode(item.document)),
        characters=len(item.document),
        ingest_s=ingest_s,
        peak_bytes=peak.bytes(),
        note=note,
        error=error,
        answers=tuple(map(partial(_scored, task), item.questions, replies)),
    )


def _scored(task: Task, question: Question, reply: Reply) -> Answered:
    if reply is _NO_REPLY:
        score = 0.0
    elif task.metric == CHOICE:
        score = float(reply.text == question.answer)
    else:
        score = METRICS[task.metric](reply.text, question)
    return Answered(
        kind=question.kind,
        question=question.text,
        answer=reply.text,
        gold=question.answer,
        score=score,
        ttft_s=reply.ttft_s,
        seconds=reply.seconds,
        new_tokens=reply.new_tokens,
        slots=reply.slots,
        kv_bytes=reply.kv_bytes,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell running out of memory from other failures: on a CPU torch raises a bare RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "can't allocate memory" in str(error)
    )
