"""Answer the questions about one document; failures are recorded, not raised."""

from __future__ import annotations

import gc
import logging
from functools import partial

import torch

from dnsity.data.example import Question
from dnsity.errors import BadInputError
from dnsity.evaluation.memory import Peak
from dnsity.evaluation.method import Method, Reply
from dnsity.evaluation.metrics import METRICS, WITH_WHITE_SPACE
from dnsity.evaluation.record import Answered, Record
from dnsity.evaluation.task import CHOICE, Item, Task
from dnsity.inference.generate import Sampling

_NO_REPLY = Reply("", 0.0, 0.0, 0, 0, 0)
_log = logging.getLogger(__name__)


def ask(method: Method, task: Task, item: Item, document: str) -> Record:
    """Answer an item's questions with a method.

    Args:
        method: Method that answers.
        task: Task that sets the metric and the maximum length of answers.
        item: Item with the questions.
        document: Document that the method ingests. It is the item's own, except for methods that
            answer from another one.

    Returns:
        A record. If memory ran out or the method refused the document, it has the reason, and its
        answers count as wrong.
    """
    loaded = method.loaded
    peak = Peak(loaded.device)
    ingest_s, note, error, exhausted = 0.0, "", "", False
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
        exhausted = _is_out_of_memory(failure)
        if not exhausted:
            raise
        error = f"out of memory: {str(failure).splitlines()[0][:200]}"
        _log.warning("%s, %s, item %s: %s", task.name, method.label, item.id, error)
    if exhausted:  # after the except block, which keeps the tensors alive
        gc.collect()
        if loaded.device.type == "cuda":
            torch.cuda.empty_cache()
    return Record(
        model=loaded.name,
        task=task.name,
        version=task.version,
        metric=task.metric,
        method=method.label,
        item=item.id,
        labels=dict(item.labels),
        context_tokens=len(loaded.frame.document(item.document)),
        characters=len(item.document),
        ingest_s=ingest_s,
        peak_bytes=peak.bytes(),
        note=note,
        error=error,
        answers=tuple(map(partial(_scored, task), item.questions, replies)),
    )


def _scored(task: Task, question: Question, reply: Reply) -> Answered:
    text = reply.text if task.metric in WITH_WHITE_SPACE else reply.text.strip()
    if reply is _NO_REPLY:
        score = 0.0
    elif task.metric == CHOICE:
        score = float(reply.text == question.answer)
    else:
        score = METRICS[task.metric](text, question)
    return Answered(
        kind=question.kind,
        question=question.text,
        answer=text,
        gold=question.answer,
        score=score,
        ttft_s=reply.ttft_s,
        seconds=reply.seconds,
        new_tokens=reply.new_tokens,
        slots=reply.slots,
        kv_bytes=reply.kv_bytes,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out; on a CPU torch raises a plain RuntimeError for it."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "can't allocate memory" in str(error)
    )
