"""Files of example records, and random records by the length of the document."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example
from dnsity.errors import BadInputError
from dnsity.io.jsonl import read_records


def read_examples(path: Path) -> Iterator[Example]:
    """Yield the examples in a file of example records.

    Raises:
        BadInputError: If the file cannot be read or a record is not an example.
    """
    for number, record in enumerate(read_records(path), start=1):
        yield Example.from_record(record, f"{path} record {number}")


class Records:
    """Example records in memory, in order of length; each has a document and a question.

    Args:
        paths: Files of example records, as the `dnsity data` commands write them.
        encoder: Counts the tokens of the documents.

    Raises:
        BadInputError: If a file is missing or has other content, or no record is usable.
    """

    def __init__(self, paths: Sequence[str], encoder: TextEncoder) -> None:
        """Read and measure the records."""
        measured = sorted(
            (
                (len(encoder.encode(example.document)), example)
                for path in paths
                for example in read_examples(Path(path))
                if example.questions and example.document.strip()
            ),
            key=lambda pair: pair[0],
        )
        if not measured:
            raise BadInputError(f"no record with a document and a question in {', '.join(paths)}")
        self._tokens = [tokens for tokens, _ in measured]
        self._examples = [example for _, example in measured]

    def sample(self, rng: random.Random, tokens: int) -> Example:
        """Sample a record whose document has at most so many tokens, and more than half of it.

        If there is none of more than half, one of the longest that fit is sampled.

        Raises:
            BadInputError: If every document is longer.
        """
        stop = bisect_right(self._tokens, tokens)
        if stop == 0:
            raise BadInputError(
                f"no document in data.records has at most {tokens} tokens, the shortest has "
                f"{self._tokens[0]}; allow as many in `stages`, or add shorter documents"
            )
        longest = bisect_left(self._tokens, self._tokens[stop - 1])
        start = min(longest, bisect_right(self._tokens, tokens / 2))
        return self._examples[rng.randrange(start, stop)]
