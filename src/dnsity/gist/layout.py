"""Where every token of a compressed document stands: segments, slots and positions.

The order of tokens is always chunk by chunk, each document chunk followed by its gists, and the
questions last. Positions are those of the stored cache: gists of chunk j take j*G .. j*G+G-1,
their document chunk the N positions before that (negative for the first chunk), and a question
starts right after the last gist:

    token      d1 d2 d3 | G1 G2 | d4 d5 d6 | G3 G4 | q1 q2
    position   -3 -2 -1 |  0  1 | -1  0  1 |  2  3 |  4  5

RoPE is relative, so to the model nothing is lost, and the gists are an ordinary prefix at 0..G-1.

Where a head precedes every document (start token, system prompt, header of the user's turn), it
takes positions 0..H-1 and everything else moves by H. A chunk is read after a copy of its own, so
that its tokens see the head at its usual distance; questions see the head itself:

    token      h1 h2 | h1 h2 d1 d2 d3 | G1 G2 | q1 q2
    position    0  1 | -3 -2 -1  0  1 |  2  3 |  4  5
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dnsity.errors import BadInputError
from dnsity.gist.spec import Chunking, GistSpec, Placement

Kind = Literal["head", "document", "gist", "question"]


@dataclass(frozen=True)
class Segment:
    """A run of tokens of one kind; `index` counts chunks or questions, `position` is token 0's."""

    kind: Kind
    index: int
    start: int
    length: int
    position: int

    @property
    def stop(self) -> int:
        """One past the last token of the segment."""
        return self.start + self.length


@dataclass(frozen=True)
class Layout:
    """Counts of tokens from which all index logic follows.

    Attributes:
        chunks: Document tokens of each chunk, its copy of the head included.
        gists: Gist tokens per chunk.
        questions: Tokens of each question (with its answer, in training). Several questions stand
            follow one document and do not see each other.
        head: Tokens in front of every document, once for all questions.

    Raises:
        BadInputError: If a count is below one.
    """

    chunks: tuple[int, ...]
    gists: int
    questions: tuple[int, ...] = ()
    placement: Placement = "append"
    chunking: Chunking = "independent"
    head: int = 0

    def __post_init__(self) -> None:
        """Check the counts."""
        if not self.chunks or min(*self.chunks, self.gists, *self.questions) < 1:
            raise BadInputError(
                f"a layout needs one token or more in every chunk, gist group and question: {self}"
            )

    @property
    def total_gists(self) -> int:
        """Slots that stay in the cache."""
        return self.gists * len(self.chunks)

    def segments(self) -> list[Segment]:
        """All segments in token order."""
        found = [Segment("head", 0, 0, self.head, 0)] if self.head else []
        start = self.head
        for chunk, length in enumerate(self.chunks):
            first_gist = self.head + chunk * self.gists
            found.append(Segment("document", chunk, start, length, first_gist - length))
            found.append(Segment("gist", chunk, start + length, self.gists, first_gist))
            start += length + self.gists
        for question, length in enumerate(self.questions):
            position = self.head + self.total_gists
            found.append(Segment("question", question, start, length, position))
            start += length
        return found

    def positions(self) -> list[int]:
        """Position of every token, in token order."""
        return [s.position + offset for s in self.segments() for offset in range(s.length)]


def split_evenly(tokens: int, parts: int) -> list[tuple[int, int]]:
    """Cut `tokens` into `parts` neighbouring (start, stop) spans, of equal length within one.

    With fewer tokens than parts some spans are empty, and still nothing is lost.
    """
    borders = [tokens * part // parts for part in range(parts + 1)]
    return list(pairwise(borders))


def chunks_of(tokens: int, spec: GistSpec) -> int:
    """Say into how many chunks a document is cut: the fewest that fit a pass."""
    return max(1, -(-tokens // (spec.chunk_tokens or spec.window_tokens)))


def gists_each(chunks: int, spec: GistSpec, gists: int | None = None) -> int:
    """Say how many gists each of a document's chunks fills, at least one.

        25 gists a window   |----------- window -----------|--- window, begun ---|
        4 chunks a window   |  12   |  12   |   0 .. 2,048 tokens are one chunk of 25
                            |   6   |   6   |   6   |   6  |
                            |   8   |   8   |   8   |   8  |   8   |   8   |

    Args:
        chunks: Of a document, see `chunks_of`.
        spec: How the model compresses.
        gists: Gists per window (default: as trained).
    """
    per_window = spec.window_tokens // (spec.chunk_tokens or spec.window_tokens)
    return max(1, (gists or spec.gists) * -(-chunks // per_window) // chunks)


def cut(tokens: int, spec: GistSpec, gists: int | None = None) -> tuple[list[tuple[int, int]], int]:
    """Cut a document into equal chunks that are read in one pass each; nothing is dropped.

    Args:
        tokens: Of the document.
        spec: How the model compresses.
        gists: Gists per window (default: as trained).

    Returns:
        The (start, stop) spans of its chunks, and how many gists each fills.
    """
    chunks = chunks_of(tokens, spec)
    return split_evenly(tokens, chunks), gists_each(chunks, spec, gists)
