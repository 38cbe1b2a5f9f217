"""LongBench v1 (Bai et al., 2308.14508): 21 datasets with their official instructions and metrics.

The official prompt has the document in its middle. Here the document comes first, so that it can be
compressed once for all questions. The instruction and the rest follow verbatim, for every method:

    official    instruction {context} question
    here        {context} | instruction, question

Split: the records of the benchmark in their order. Answer length: the official limit. Full context
beyond the model's window loses its middle, as in the official code; gists use chunks instead.

Version 1.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import Field

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Question
from dnsity.data.readers.longbench import (
    TASKS,
    LongBenchRecord,
    Prompt,
    limits,
    load_records,
    prompts,
)
from dnsity.errors import BadInputError
from dnsity.evaluation.task import Family, Item, Task

VERSION = 1
_BINS = ((4000, "0-4k"), (8000, "4k-8k"))
"""Bins of document length in words, as in LongBench-E."""


class LongBench(Family):
    """Settings of LongBench tasks.

    Attributes:
        family: `longbench`.
        folder: Folder with records, prompts and limits (from `dnsity data longbench`).
        datasets: Datasets to evaluate (default: all in the folder).
        max_tokens: Maximum document length; longer ones are skipped (default: no limit).
    """

    family: Literal["longbench"]
    folder: str
    datasets: list[str] = Field(default=[])
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def name(self) -> str:
        """The beginning of the task names, which is followed by the dataset."""
        return "longbench"

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Read the first records of every dataset."""
        folder = Path(self.folder)
        known, longest = prompts(folder), limits(folder)
        wanted = self.datasets or [name for name in TASKS if (folder / f"{name}.jsonl").exists()]
        if not wanted:
            raise BadInputError(
                f"{folder} has no LongBench records; download them with dnsity data longbench"
            )
        tasks = []
        for name in wanted:
            fitting = (
                (number, record)
                for number, record in enumerate(load_records(folder, name))
                if self.max_tokens is None or len(encoder.encode(record.context)) <= self.max_tokens
            )
            items = tuple(_item(record, known[name], n) for n, record in islice(fitting, limit))
            if not items:
                raise BadInputError(
                    f"{folder / name}.jsonl has no document of at most {self.max_tokens} tokens; "
                    "raise max_tokens or remove the dataset"
                )
            tasks.append(
                Task(f"longbench_{name}", VERSION, f"longbench:{name}", items, longest[name])
            )
        return tasks


def _item(record: LongBenchRecord, prompt: Prompt, number: int) -> Item:
    before, after = prompt.around(record.input)
    text = "\n\n".join(part for part in (before.strip(), after.strip()) if part)
    question = Question(
        text,
        record.answers[0],
        f"longbench:{record.dataset}",
        alternatives=record.answers[1:],
        choices=record.all_classes,
    )
    words = next((name for most, name in _BINS if record.length < most), "8k+")
    return Item(
        f"{number}:{record.id}",
        record.context,
        (question,),
        {"language": record.language, "words": words},
    )
