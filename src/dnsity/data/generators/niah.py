"""Needle in a haystack, English and Korean: documents of an exact length with needles in them.

    haystack   filler (a few sentences that are repeated: easy) or real prose (hard)
    needles    one or several of one kind (`needles.NeedleKind`), on a grid of depths and lengths
    questions  for all needles or for the first few

Records of one seed are the same on every machine. Record n depends only on the seed and n, so a
longer set begins with the shorter one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dnsity.config import Config, Seed
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Detail, Example, Language
from dnsity.data.generators.hide import absent_questions, fits, insert, questions
from dnsity.data.generators.languages import LANGUAGES
from dnsity.data.generators.needles import Needle, NeedleKind, sample_needles
from dnsity.data.generators.wording import Part
from dnsity.data.readers.corpus import Corpus
from dnsity.errors import BadInputError
from dnsity.io.workers import parallel_map

VERSION = 4
Form = Literal["prose", "list", "table"]
"""Form of needles in the document: scattered sentences, or the lines of one block."""
FILLER = "filler"
_TRIES = 200
_CHUNK = 32
"""Documents handed to a worker process at a time."""


class NiahConfig(Config):
    """One set of needle documents.

    Attributes:
        language: Of haystack, needles and questions.
        haystack: `filler`, or a source of prose for `corpus.read_documents`.
        samples: How many documents.
        tokens: Document lengths; each document has exactly one of them.
        depths: Positions of the first needle, 0 (start) to 1 (end); the others are random.
        needles: Needles per document.
        asked: Questions per document (None: one for each needle).
        absent: Additional questions per document, on needles of the same kind that it does not
            contain; their answer is `hide.NOT_FOUND`.
        kind: What the needles are.
        form: `prose`: a sentence per needle; `list` or `table`: owners and values in one place.
            Facts and single passkeys need prose, since a line cannot state an attribute and a
            single passkey has no owner.
        digits: Lengths of passkeys.
        wording: Which sentences, questions and names; `unseen` ones are not used in training.
        seed: Random seed.
    """

    language: Language = "en"
    haystack: str = FILLER
    samples: int = Field(default=100, ge=1, le=1_000_000_000)
    tokens: list[int] = Field(default=[2048], min_length=1)
    depths: list[float] = Field(default=[0.0, 0.25, 0.5, 0.75, 1.0], min_length=1)
    needles: int = Field(default=1, ge=1, le=1000)
    asked: int | None = Field(default=None, ge=1)
    absent: int = Field(default=0, ge=0, le=1000)
    kind: NeedleKind = "passkey"
    form: Form = "prose"
    digits: list[int] = Field(default=[5, 6, 7], min_length=1)
    wording: Part = "all"
    seed: Seed = 0

    @field_validator("tokens", "digits")
    @classmethod
    def _are_sizes(cls, values: list[int], field: ValidationInfo) -> list[int]:
        most = 2**24 if field.field_name == "tokens" else 100
        if not all(1 <= value <= most for value in values):
            raise ValueError(f"every number must be at least 1 and at most {most:,}, got {values}")
        return values

    @field_validator("depths")
    @classmethod
    def _are_shares(cls, depths: list[float]) -> list[float]:
        if not all(0 <= depth <= 1 for depth in depths):
            raise ValueError(f"depths are shares from 0 to 1, got {depths}")
        return depths

    @model_validator(mode="after")
    def _asks_what_is_hidden(self) -> NiahConfig:
        if self.asked is not None and self.asked > self.needles:
            raise ValueError(f"cannot ask for {self.asked} of {self.needles} needles")
        owned = self.kind != "fact" and (self.kind != "passkey" or self.needles > 1)
        if self.form != "prose" and not owned:
            raise ValueError(
                f"a {self.form} holds values with owners: kind 'word', 'spoken', 'uuid', or "
                f"'passkey' with needles above 1; got kind={self.kind!r}, needles={self.needles}"
            )
        return self


class Haystack(Protocol):
    """A text to hide needles in: `Corpus` or `Filler`."""

    def passage(self, rng: random.Random, characters: int) -> tuple[str, str]:
        """Sample about so many characters of text; return text and source."""


class Filler:
    """A few sentences that are repeated; they compress well, so this is the easy case."""

    def __init__(self, language: Language) -> None:
        """Choose the sentences."""
        self.line = LANGUAGES[language].questions.filler

    def passage(self, rng: random.Random, characters: int) -> tuple[str, str]:
        """Return at least so many characters of filler."""
        return " ".join([self.line] * (characters // len(self.line) + 1)), FILLER


def generate(config: NiahConfig, encoder: TextEncoder, *, workers: int = 1) -> Iterator[Example]:
    """Yield the documents of a set one by one.

    Args:
        config: The set.
        encoder: The tokenizer in which lengths are counted.
        workers: Number of processes; the documents and their order do not depend on it. More than
            one needs the `__main__` guard of `multiprocessing` in a script.

    Yields:
        Examples whose details have kind, requested depth, position of every needle (share of the
        document's characters before it), tokens, characters, seed and number.

    Raises:
        BadInputError: If the haystack is shorter than the longest document, or a document is too
            short for its needles.
    """
    haystack: Haystack = (
        Filler(config.language) if config.haystack == FILLER else _prose(config, encoder)
    )
    sample = haystack.passage(random.Random(config.seed), 20_000)[0]
    hider = _Hider(config, haystack, encoder, len(sample) / len(encoder.encode(sample)))
    numbers = range(config.samples)
    if workers == 1:
        yield from map(hider.hide, numbers)
        return
    yield from parallel_map(
        _hide, numbers, workers=workers, initializer=_start_worker, initargs=(hider,), chunk=_CHUNK
    )


@dataclass(frozen=True)
class _Hider:
    """What a worker process needs to make documents."""

    config: NiahConfig
    haystack: Haystack
    encoder: TextEncoder
    characters_per_token: float

    def hide(self, number: int) -> Example:
        """Make document `number`; consecutive documents differ in length first, then in depth."""
        config = self.config
        rng = random.Random(
            f"niah/{VERSION}/{config.language}/{config.kind}/{config.seed}/{number}"
        )
        tokens = config.tokens[number % len(config.tokens)]
        depth = config.depths[number // len(config.tokens) % len(config.depths)]
        for attempt in range(_TRIES):
            sampled = sample_needles(
                rng,
                config.language,
                config.kind,
                config.needles + config.absent,
                config.digits,
                config.wording,
            )
            needles, absent = sampled[: config.needles], sampled[config.needles :]
            written = _written(needles, config.form)
            depths = [depth, *(rng.random() for _ in written[1:])]
            # Some more, since a passage may have fewer tokens per character than the sample.
            characters = 100 + int((1.15 + attempt / 10) * tokens * self.characters_per_token)
            passage, source = self.haystack.passage(rng, characters)
            document = None
            if all(fits(passage, needle) for needle in needles):
                document = _fill(passage, self.encoder, written, depths, tokens)
            if document is not None:
                break
        else:
            raise BadInputError(
                f"could not hide {config.needles} needle(s) in {tokens} tokens of "
                f"{config.haystack!r}; use longer documents, fewer needles or another haystack"
            )
        details: dict[str, Detail] = {
            "task": f"niah-{config.language}",
            "version": VERSION,
            "kind": config.kind,
            "tokens": tokens,
            "characters": len(document),
            "depth": depth,
            "placed": [round(document.index(text) / len(document), 4) for text in written],
            "seed": config.seed,
            "number": number,
        }
        asked = questions(rng, needles[: config.asked])
        asked += absent_questions(rng, config.language, absent)
        return Example(document, asked, config.language, source, details)


_hider: _Hider
"""Set in a worker process, for `_hide`."""


def _start_worker(hider: _Hider) -> None:
    global _hider  # sent once per process, not once per document
    _hider = hider


def _hide(number: int) -> Example:
    return _hider.hide(number)


def _written(needles: list[Needle], form: Form) -> list[str]:
    """Format needles as sentences, or as one block of lines."""
    if form == "prose":
        return [needle.sentence for needle in needles]
    line = "- {}: {}" if form == "list" else "| {} | {} |"
    lines = [line.format(needle.entity, needle.answer) for needle in needles]
    return ["\n" + "\n".join(lines) + "\n"]


def _fill(
    passage: str, encoder: TextEncoder, written: list[str], depths: list[float], tokens: int
) -> str | None:
    """Hide needles in a passage and cut its end so that it has exactly `tokens` tokens.

    Needles are at sentence borders before the cut. The last sentence may be incomplete, as in any
    window of a longer text, and a needle of depth 1 is right before it.
    """
    budget = tokens - sum(len(encoder.encode(text)) + 2 for text in written)
    if budget < 0:
        return None
    room = encoder.offset_after(passage, budget) if budget else 0
    if room is None:
        return None
    enough = passage[: room + room // 20 + 100]
    document = encoder.cut(insert(enough, written, depths, stop=room), tokens)
    if document is None or not all(text in document for text in written):
        return None
    return document


def _prose(config: NiahConfig, encoder: TextEncoder) -> Corpus:
    """Read the haystack; refuse one that is shorter than the longest document."""
    corpus = Corpus([config.haystack], config.language, characters=50_000_000)
    tokens, have = max(config.tokens), 0
    for text in corpus.texts:
        have += len(encoder.encode(text))
        if have >= tokens:
            return corpus
    raise BadInputError(
        f"haystack {config.haystack} holds {have} tokens, too few for documents of {tokens}; "
        "add text or ask for shorter documents"
    )
