"""LongBench v1 (Bai et al., 2308.14508): 21 datasets with their official instructions and metrics.

The official prompt has the document in its middle; here the document stands first, so that what was
made of it can serve any question. Its instruction and the rest follow, word for word, for every
method alike:

    official    instruction {context} question
    here        {context} | instruction, question

Split: the benchmark's records in their order. Limit on answers: the official one. A full context
longer than the model's window loses its middle, as in the official code; gists are chunked instead.

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
"""Words of a document, as LongBench-E groups them."""


class LongBench(Family):
    """Settings.

    Attributes:
        family: `longbench`.
        folder: Where the records, prompts and limits are (`dnsity data longbench`).
        datasets: Which ones (default: all that the folder has).
        max_tokens: Longer documents are left out (default: none).
    """

    family: Literal["longbench"]
    folder: str
    datasets: list[str] = Field(default=[])
    max_tokens: int | None = Field(default=None, ge=1)

    @property
    def name(self) -> str:
        """Tasks are called `longbench_` and the dataset."""
        return "longbench"

    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Read the first records of every dataset."""
        folder = Path(self.folder)
        known, longest = prompts(folder), limits(folder)
        wanted = self.datasets or [name for name in TASKS if (folder / f"{name}.jsonl").exists()]
        if not wanted:
            raise BadInputError(
                f"{folder} holds no LongBench records; get them with dnsity data longbench"
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
                    "raise max_tokens or leave the dataset out"
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
