"""Ordinary prose to hide needles in: articles from JSONL files, cut to length."""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path

from dnsity.data.example import Language
from dnsity.data.niah import sentence_ends
from dnsity.errors import BadInputError


def read_articles(path: Path) -> Iterator[dict[str, str]]:
    """Read `{id, title, text}` records from a `.jsonl` or `.jsonl.xz` file, one at a time.

    Raises:
        BadInputError: If the file is missing or a record has no `text`.
    """
    if not path.exists():
        raise BadInputError(f"corpus file {path} not found; see experiments/configs for the paths")
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInputError(f"{path} line {number} is not JSON: {error.msg}") from error
            if "text" not in record:
                raise BadInputError(
                    f"{path} line {number}: no 'text' field, found {sorted(record)}"
                )
            yield record


class Corpus:
    """Articles of one language in memory, from which passages of any length are drawn.

    Args:
        paths: JSONL files, read in order.
        language: Their language.
        characters: Stop reading after about this many characters (memory and time are bounded).
        minimum: Skip articles shorter than this.
    """

    def __init__(
        self, paths: list[Path], language: Language, characters: int, minimum: int = 0
    ) -> None:
        """Read the articles."""
        self.language = language
        self.texts: list[str] = []
        self.ids: list[str] = []
        for path in paths:
            for record in read_articles(path):
                if characters <= 0:
                    return
                if len(record["text"]) >= minimum:
                    self.texts.append(record["text"])
                    self.ids.append(str(record.get("id", f"{path.name}:{len(self.ids)}")))
                    characters -= len(record["text"])
        if not self.texts:
            raise BadInputError(f"no article of {minimum}+ characters in {[str(p) for p in paths]}")

    def passage(self, rng: random.Random, characters: int) -> tuple[str, str]:
        """Draw a passage of about so many characters, from sentence start to sentence end.

        A long article gives a random window of itself; short ones are joined, so that any length
        can be served.

        Returns:
            The text and the id of its first article.
        """
        index = rng.randrange(len(self.texts))
        source, text = self.ids[index], self.texts[index]
        while len(text) < characters:
            text += "\n\n" + self.texts[rng.randrange(len(self.texts))]
        start = rng.randrange(len(text) - characters + 1)
        # Begin at the first sentence border behind `start`, if one is near.
        borders = sentence_ends(text[start : start + characters // 4 + 1])
        begin = start + (borders[1] if start and len(borders) > 2 else 0)
        passage = text[begin : begin + characters]
        # End at the last sentence border, unless that would drop more than a quarter.
        end = sentence_ends(passage)[-2]
        return passage[: end if end > characters * 3 // 4 else None].strip(), source
