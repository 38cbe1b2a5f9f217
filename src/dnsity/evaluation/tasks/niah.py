"""Needle in a haystack: sentences hidden in prose or filler, with a question about each.

    passkey           one or several passkeys
    fact, uuid, ...   see `data.generators.needles.NeedleKind`

Prompt: the question alone. Split: held-out prose of the user, with random values that occur nowhere
else in the document. Metric: exact match, or whether the answer contains the value. Lengths and
depths of the first needle form a grid.

Version 4: more wordings (version 3: several needles, filler, every kind; version 2: documents of an
exact length, depths 0, 1/4, 1/2, 3/4 and 1; version 1: passkeys only, approximate length).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dnsity.config import Digits, Share, Tokens, validated
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language
from dnsity.data.generators.needles import NeedleKind
from dnsity.data.generators.niah import FILLER, Form, NiahConfig, generate
from dnsity.data.generators.wording import Part
from dnsity.evaluation.task import Family, Item, Task

VERSION = 4


class Niah(Family):
    """Settings of needle tasks; see `data.generators.niah.NiahConfig`.

    Attributes:
        family: `niah`.
        language: Language of haystack, needles and questions.
        haystack: `filler`, or held-out prose for `data.readers.corpus.read_documents`.
        kind: Kind of needle.
        form: Form of the needles: `prose`, `list` or `table`.
        needles: Needles per document, with one question each.
        absent: Additional questions about values that do not occur, see
            `data.generators.hide.NOT_FOUND`.
        tokens: Document lengths in tokens.
        depths: Depths of the first needle, from 0 (start) to 1 (end).
        digits: Numbers of digits in passkeys.
        wording: Wording of sentences, questions and names. `unseen` is held out from training;
            `named` gives passkeys a name, for models that were not trained on needles.
        metric: `exact`, or `contains` for models that answer in sentences.
    """

    family: Literal["niah"]
    language: Language
    haystack: str = FILLER
    kind: NeedleKind = "passkey"
    form: Form = "prose"
    needles: int = Field(default=1, ge=1, le=1000)
    absent: int = Field(default=0, ge=0, le=1000)
    tokens: list[Tokens] = Field(default=[512, 1024, 2048], min_length=1)
    depths: list[Share] = Field(default=[0.0, 0.25, 0.5, 0.75, 1.0], min_length=1)
    digits: list[Digits] = Field(default=[5], min_length=1)
    wording: Part = "all"
    metric: Literal["exact", "contains"] = "exact"

    @property
    def name(self) -> str:
        """The task name, for example `niah_en`, `fact_ko_unseen` or `niah4_en_table`."""
        kind = "niah" if self.kind == "passkey" else self.kind
        form = "" if self.form == "prose" else f"_{self.form}"
        number = str(self.needles) if self.needles > 1 else ""
        part = "" if self.wording == "all" else f"_{self.wording}"
        absent = "_absent" if self.absent else ""
        filler = "_filler" if self.haystack == FILLER else ""
        tokens = f"_{self.tokens[0]}" if len(self.tokens) == 1 else ""
        return f"{kind}{number}_{self.language}{form}{part}{absent}{filler}{tokens}"

    def make_tasks(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Generate documents, evenly over lengths and depths."""
        own = self.model_dump(exclude={"family", "metric", *Family.model_fields})
        config = validated(NiahConfig, {"seed": seed, "samples": limit, **own}, self.name)
        items = tuple(
            Item(
                id=str(number),
                document=example.document,
                questions=example.questions,
                labels={
                    "language": self.language,
                    "tokens": int(str(example.details["tokens"])),
                    "depth": float(str(example.details["depth"])),
                },
            )
            for number, example in enumerate(generate(config, encoder))
        )
        return [Task(self.name, VERSION, self.metric, items)]
