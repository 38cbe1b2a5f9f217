"""Segments, slots and positions of the tokens of a compressed document.

Tokens are ordered by chunk: each document chunk is followed by its gists, and questions come last.
Positions are those of the stored cache. The gists of chunk j have positions j*G .. j*G+G-1. Their
document chunk has the N positions before these, which are negative for the first chunk. A question
starts directly after the last gist:

    token      d1 d2 d3 | G1 G2 | d4 d5 d6 | G3 G4 | q1 q2
    position   -3 -2 -1 |  0  1 | -1  0  1 |  2  3 |  4  5

RoPE is relative, so the model sees the usual distances, and the gists are an ordinary prefix at
0..G-1.

A head precedes every document in the chat format (start token, system prompt, header of the user's
turn). It has positions 0..H-1, and all other positions are shifted by H. Each chunk follows its own
copy of the head, so that its tokens see the head at the usual distance. Questions see the head
itself:

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
    """A span of tokens of one kind.

    Attributes:
        kind: Kind of tokens.
        index: Index of the chunk or question.
        start: Index of the first token in the sequence.
        length: Number of tokens.
        position: Position of the first token.
    """

    kind: Kind
    index: int
    start: int
    length: int
    position: int

    @property
    def stop(self) -> int:
        """The index after the last token."""
        return self.start + self.length


@dataclass(frozen=True)
class Layout:
    """The token counts that determine all segments, positions and masks.

    Attributes:
        chunks: Document tokens of each chunk, including its copy of the head.
        gists: Gist tokens per chunk.
        questions: Tokens of each question (in training, with its answer). Several questions about
            one document do not see each other.
        placement: See `GistSpec`.
        chunking: See `GistSpec`.
        head: Tokens before every document, shared by all questions.

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
        """The number of slots in the cache."""
        return self.gists * len(self.chunks)

    def segments(self) -> list[Segment]:
        """Return all segments in token order."""
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
        """Return the position of every token, in token order."""
        return [s.position + offset for s in self.segments() for offset in range(s.length)]


def split_evenly(tokens: int, parts: int) -> list[tuple[int, int]]:
    """Split `tokens` into `parts` adjacent (start, stop) spans, whose lengths differ by at most 1.

    With fewer tokens than parts, some spans are empty.
    """
    borders = [tokens * part // parts for part in range(parts + 1)]
    return list(pairwise(borders))


def chunks_of(tokens: int, spec: GistSpec) -> int:
    """Return the number of chunks of a document: the fewest that fit into a forward pass."""
    return max(1, -(-tokens // (spec.chunk_tokens or spec.window_tokens)))


def gists_each(chunks: int, spec: GistSpec, gists: int | None = None) -> int:
    """Return the number of gists per chunk of a document, at least one.

        25 gists a window   |----------- window -----------|-- partial window ---|
        4 chunks a window   |  12   |  12   |   0 .. 2,048 tokens are one chunk of 25
                            |   6   |   6   |   6   |   6  |
                            |   8   |   8   |   8   |   8  |   8   |   8   |

    Args:
        chunks: Number of chunks of the document, see `chunks_of`.
        spec: Compression settings of the model.
        gists: Gists per window (default: as trained).
    """
    per_window = spec.window_tokens // (spec.chunk_tokens or spec.window_tokens)
    return max(1, (gists or spec.gists) * -(-chunks // per_window) // chunks)


def cut(tokens: int, spec: GistSpec, gists: int | None = None) -> tuple[list[tuple[int, int]], int]:
    """Split a document into equal chunks of one forward pass each.

    Args:
        tokens: Number of tokens of the document.
        spec: Compression settings of the model.
        gists: Gists per window (default: as trained).

    Returns:
        The (start, stop) spans of the chunks, and the number of gists per chunk.
    """
    chunks = chunks_of(tokens, spec)
    return split_evenly(tokens, chunks), gists_each(chunks, spec, gists)
