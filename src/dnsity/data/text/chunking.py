r"""Cut a text of any size into chunks with at most a given number of tokens, at natural borders.

The text is processed block by block and no part is tokenized more than a few times: constant
memory, linear time. White space between two chunks belongs to the earlier one:

    chunk 0   |The office opens at nine. It closes at five.\n\n|
    chunk 1                             |It closes at five.\n\nOn Sundays it stays shut. |
                                         `---- overlap ----'
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dnsity.data.text.sentences import sentence_ends
from dnsity.errors import BadInputError

CountTokens = Callable[[str], int]
_Found = tuple[int, int]  # where a chunk ends, and how many tokens it has
MOST_CHARACTERS = 32
"""Limit per token of a chunk, far above that of prose; bounds runs of white space."""
_MARGIN = 64  # characters after a position that decide whether it is a border
_BLOCK = 1 << 16

_BLANK_LINES = re.compile(r"(?:\r?\n[^\S\r\n]*){2,}|[\f\u2029]\s*")
_UP_TO_SPACE = re.compile(r".*\s", re.DOTALL)
_SPACE = re.compile(r"\s*")
_WORD_START = re.compile(r"(?<=\s)(?=\S)")
# Vowels and finals of Hangul, skin tones, tags, the joiner: part of the character before them.
_PART = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u200d]")
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]{2}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the document `source`: `document[start:stop] == text`.

    `tokens` is the number of tokens of `text` alone; `index` counts the chunks from 0.
    """

    text: str
    start: int
    stop: int
    tokens: int
    source: str
    index: int


def chunk(
    text: str | Iterable[str],
    count_tokens: CountTokens,
    tokens: int,
    overlap: int = 0,
    *,
    source: str = "",
) -> Iterator[Chunk]:
    """Cut a text into chunks of at most `tokens` tokens; nothing is lost.

    A chunk ends with a paragraph if one ends in its last quarter, otherwise with the last sentence
    in its last half, otherwise with a word, otherwise between two separable characters. The
    division into blocks does not matter.

    Args:
        text: The whole text, or its blocks in order (see `corpus.stream_documents`).
        count_tokens: Counts the tokens of a text. Every chunk is checked with it.
        tokens: The limit. A chunk also has at most `MOST_CHARACTERS` per token.
        overlap: Maximum tokens of a chunk that the next one repeats: whole sentences if one fits,
            otherwise whole words, otherwise characters; fewer if the next chunk needs the room.
        source: Id of the document, copied into every chunk.

    Returns:
        The chunks in order; none for an empty text.

    Raises:
        BadInputError: At once if a number is out of range; while iterating if the text is not
            valid Unicode, or if a single character has more tokens than allowed.
    """
    if tokens < 1:
        raise BadInputError(f"{tokens} tokens per chunk: must be at least 1")
    if not 0 <= overlap < tokens:
        raise BadInputError(
            f"an overlap of {overlap} with {tokens} tokens per chunk: allowed are 0 to {tokens - 1}"
        )
    if isinstance(text, str):
        whole = text
        text = (whole[at : at + _BLOCK] for at in range(0, len(whole), _BLOCK))
    return _Cutter(count_tokens, tokens, overlap).cut(_Buffer(iter(text)), source)


@dataclass(slots=True)
class _Buffer:
    """The part of a text that is being cut; it begins at `base` in the whole text."""

    blocks: Iterator[str]
    text: str = ""
    base: int = 0
    ended: bool = False

    def fill(self, characters: int) -> None:
        while len(self.text) < characters and not self.ended:
            block = next(self.blocks, None)
            self.ended = block is None
            try:
                (block or "").encode()
            except UnicodeEncodeError as error:
                at = self.base + len(self.text) + error.start
                raise BadInputError(f"lone surrogate at character {at}; remove it") from error
            self.text += block or ""


@dataclass(slots=True)
class _Cutter:
    """Cuts a buffered text within token limits; offsets refer to the buffer."""

    count: CountTokens
    tokens: int
    overlap: int
    rate: float = 3.0  # characters per token of the previous chunk; a first guess

    def cut(self, buffer: _Buffer, source: str) -> Iterator[Chunk]:
        most = self.tokens * MOST_CHARACTERS
        start = past = index = 0  # `past` is the end of the previous chunk
        while True:
            if start > _BLOCK:
                buffer.text, buffer.base = buffer.text[start:], buffer.base + start
                start, past = 0, past - start
            buffer.fill(start + most + _MARGIN)
            text, end = buffer.text, min(start + most, len(buffer.text))
            if past == len(text):  # only at the end of the text, because of the margin
                return
            found = self._fit(text, start, past, end, buffer.ended and end == len(text))
            if found is None and start == past:
                raise BadInputError(
                    f"{text[start]!r} at character {buffer.base + start} alone has "
                    f"{self.count(text[start])} tokens; a chunk may have {self.tokens}, allow more"
                )
            if found is None:  # no room after the overlap
                start = past
                continue
            stop, count = found
            begin = buffer.base + start
            yield Chunk(text[start:stop], begin, buffer.base + stop, count, source, index)
            index += 1
            self.rate = (stop - start) / max(count, 1)
            start, past = self._repeat_from(text, start, stop) if self.overlap else stop, stop

    def _fit(self, text: str, start: int, past: int, end: int, last: bool) -> _Found | None:
        """Find the end of the chunk that begins at `start`; None if no end after `past` fits.

        `_reach` is an estimate, and a text may have more tokens than a longer text with the same
        beginning. So the tokens of the chunk itself are counted, and it is shortened until it fits.
        """
        high = max(self._reach(text, start, end), past + 1)
        while True:
            stop = end if last and high == end else _last_border(text, start, past, high)
            count = self.count(text[start:stop])
            if count <= self.tokens:
                return stop, count
            if stop == past + 1:
                return None
            high = start + int((stop - start) * self.tokens / count)
            high = max(past + 1, min(stop - 1, high))

    def _reach(self, text: str, start: int, end: int) -> int:
        """Estimate up to which position the text fits; only differences are counted."""
        at = min(end, start + max(1, int(self.tokens * self.rate)))
        room = self.tokens - self.count(text[start:at])
        slack, best = self.tokens // 32, 0
        for _ in range(8):
            best = max(best, at) if room >= 0 else best
            if 0 <= room <= slack or (room > 0 and at == end):
                break
            rate = (at - start) / max(self.tokens - room, 1)
            step = int((room - slack // 2) * rate) or (1 if room > 0 else -1)
            to = max(start + 1, min(end, at + min(step, at - start)))
            room += self.count(text[to:at]) - self.count(text[at:to])
            at = to
        return best or at

    def _repeat_from(self, text: str, start: int, stop: int) -> int:
        """Return where the next chunk begins so that it repeats what `overlap` allows."""

        def fits(at: int) -> bool:
            return self.count(text[at:stop]) <= self.overlap

        low = max(start + 1, stop - int(2 * self.overlap * self.rate) - 1)
        look = max(start, low - _MARGIN)
        ends = sentence_ends(text[look:stop])[1:]
        levels: tuple[Sequence[int], ...] = (
            [_after_space(text, look + end, stop) for end in ends],
            [match.start() for match in _WORD_START.finditer(text, low, stop)],
            range(low, stop),
        )
        for level in levels:
            places = [at for at in level if low <= at < stop and _may_cut(text, at)]
            first = bisect_left(places, True, key=fits)
            if first < len(places):
                return places[first]
        return stop


def _last_border(text: str, start: int, past: int, high: int) -> int:
    """Return the best end of a chunk in (past, high], see `chunk`."""
    low = max(past, high - (high - start) // 4)
    look = max(start, low - _MARGIN)
    ends = [match.end() for match in _BLANK_LINES.finditer(text, look, high)]
    if not ends or ends[-1] <= low:
        low = max(past, high - (high - start) // 2)
        look = max(start, low - _MARGIN)
        found = sentence_ends(text[look : high + _MARGIN])[1:-1]
        ends = [_after_space(text, look + end, high) for end in found if look + end <= high]
    if not ends or ends[-1] <= low:
        match = _UP_TO_SPACE.match(text, past, high)
        ends = [match.end() if match else high]
    at = ends[-1]
    while at > past and not _may_cut(text, at):
        at -= 1
    return at if at > past else ends[-1]


def _after_space(text: str, at: int, most: int) -> int:
    match = _SPACE.match(text, at, most)
    return match.end() if match else at


def _may_cut(text: str, at: int) -> bool:
    """Return whether the characters around `at` can be separated; 0 < at.

    Inseparable are a letter and its marks, the letters of a decomposed Hangul syllable, joined
    emoji, flags, CR LF.
    """
    before, after = text[at - 1], text[at : at + 1]
    if after.isascii():  # also if it is empty
        return before + after != "\r\n"
    if unicodedata.category(after)[0] == "M" or before == "\u200d" or _PART.match(after):
        return False
    flags = at
    while flags and _FLAGS.fullmatch(text[flags - 1] + after):
        flags -= 1
    return (at - flags) % 2 == 0
