"""Needle in a haystack: sentences hidden in prose or filler, each asked for.

    passkey   one or several passkeys         fact, uuid, ...   see `data.needles.NeedleKind`

Prompt: the question alone. Split: prose the user holds out, values drawn fresh that occur nowhere
else in the document. Metric: exact match, or whether the value occurs in the
answer. Lengths and depths of the first needle form a grid.

Version 3: several needles, filler, every kind (version 2: documents of an exact length, depths 0,
1/4, 1/2, 3/4 and 1; version 1: passkeys only, about the length). Documents of one configuration
are those of version 2.
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
    """Settings; see `data.niah.NiahConfig`.

    Attributes:
        family: `niah`.
        language: Of haystack, needles and questions.
        haystack: `filler`, or held-out prose as `data.corpus.read_documents` takes it.
        kind: What the needles are.
        form: How they stand there: `prose`, `list` or `table`.
        needles: How many in a document, each asked for.
        absent: How many more are asked for and not there, see `data.hide.NOT_FOUND`.
        tokens: Document lengths.
        depths: Where the first needle stands, 0 (start) to 1 (end).
        digits: Lengths of passkeys.
        wording: Which sentences, questions and names; `unseen` are held out from training,
            `named` are passkeys with a name, for models that were not trained here.
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
        """E.g. `niah_en`, `fact_ko_unseen`, `niah4_en_table`, `niah_en_32768`."""
        kind = "niah" if self.kind == "passkey" else self.kind
        form = "" if self.form == "prose" else f"_{self.form}"
        number = str(self.needles) if self.needles > 1 else ""
        part = "" if self.wording == "all" else f"_{self.wording}"
        absent = "_absent" if self.absent else ""
        filler = "_filler" if self.haystack == FILLER else ""
        tokens = f"_{self.tokens[0]}" if len(self.tokens) == 1 else ""
        return f"{kind}{number}_{self.language}{form}{part}{absent}{filler}{tokens}"

    def draw(self, encoder: TextEncoder, *, limit: int, seed: int) -> list[Task]:
        """Draw documents, evenly over lengths and depths."""
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
