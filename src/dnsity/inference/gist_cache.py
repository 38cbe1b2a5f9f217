"""A compressed document in memory: keys and values of its slots, and their origin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from dnsity.config import MOST, Config
from dnsity.gist.spec import FrameName
from dnsity.model.key_values import size_bytes
from dnsity.shapes import KeyValues

ENOUGH = 0.8
"""Share of the questions answered right with full context that a gist must answer right."""

Progress = Callable[..., None]
"""Called with work done, work in total (None: unknown), and optionally a status line."""


def ignore_progress(done: int, total: int | None, now: str = "") -> None:
    """Report nothing."""


class Check(Config):
    """Comparison of a gist's answers with full context, see `inference.check`.

    Attributes:
        asked: Number of questions.
        full: Questions answered right from the whole document.
        gists: Questions answered right from the gist.
        both: Questions answered right from both.
    """

    asked: int = Field(default=0, ge=0, le=MOST)
    full: int = Field(default=0, ge=0, le=MOST)
    gists: int = Field(default=0, ge=0, le=MOST)
    both: int = Field(default=0, ge=0, le=MOST)

    @property
    def says_something(self) -> bool:
        """Whether the base answers at least half of the questions from the whole document."""
        return self.asked > 0 and 2 * self.full >= self.asked

    @property
    def passed(self) -> bool:
        """Whether the gist answers enough of what full context answers, or nothing is known."""
        return not self.says_something or self.both >= ENOUGH * self.full

    def plus(self, whole: Sequence[bool], gists: Sequence[bool]) -> Check:
        """Return the check with further questions added.

        Args:
            whole: Which questions are answered right from the whole document.
            gists: Which questions are answered right from the gist.
        """
        return Check(
            asked=self.asked + len(whole),
            full=self.full + sum(whole),
            gists=self.gists + sum(gists),
            both=self.both + sum(a and b for a, b in zip(whole, gists, strict=True)),
        )

    def __str__(self) -> str:
        """Return the result as a sentence."""
        if not self.asked:
            return "no question could be asked on this document, so nothing is known"
        if not self.says_something:
            return (
                f"the base answers only {self.full} of {self.asked} such questions from the whole "
                "document, so the check says nothing"
            )
        return (
            f"{self.both} of {self.full} questions answered as with the whole document "
            f"({self.full} of {self.asked} right there)"
        )


class GistInfo(Config):
    """Description of a gist, as stored in its file; contains no text of the document.

    Attributes:
        n_context: Tokens of the document.
        n_gist: Slots of all chunks; if heads differ, their mean, rounded up.
        n_positions: Positions of the slots, if heads have different numbers of slots: for each
            chunk the slots of its fullest head. None: `n_gist`.
        slots: Slots of every head of every layer, if they differ; None: `n_gist` each.
        n_chunks: Chunks that the document was cut into.
        characters: Characters of the document.
        full_kv_bytes: Size of the document's uncompressed keys and values in the same type.
        model: Name of the gist model.
        base: Type, compute type, quantisation and rotary embedding of the base model.
        fingerprints: Hashes that must match when the gist is used (`model/fingerprint.py`).
        weights_sha256: Hash of all weights, for `verify --deep`; None in files of older versions.
        n_head: Tokens of the frame's head, whose slots precede the document's and are not stored.
        frame: Prompt format: chat template or plain text (`data/text/frame.py`).
        system: System prompt of the chat frame, if one was given.
        instruction: Text between document and question in the chat frame, if one was given.
        method: Name of the compression method (`inference/methods`).
        settings: Settings of the method and its own report.
        text_hash: Keyed hash of the document (`inference/origin`); None in files of older versions.
        source_hash: Keyed hash of the document's file name, if the gist file is named after it.
        check: The quality check, if one was made.
    """

    n_context: int = Field(ge=1, le=MOST)
    n_gist: int = Field(ge=1, le=MOST)
    n_positions: int | None = Field(default=None, ge=1, le=MOST)
    slots: list[list[Annotated[int, Field(ge=0, le=MOST)]]] | None = None
    n_chunks: int = Field(ge=1, le=MOST)
    characters: int = Field(ge=0, le=MOST)
    full_kv_bytes: int = Field(ge=0, le=MOST)
    model: str
    base: dict[str, Any]
    fingerprints: dict[str, str]
    weights_sha256: str | None = None
    n_head: int = Field(default=0, ge=0, le=MOST)
    frame: FrameName = "plain"
    system: str | None = None
    instruction: str | None = None
    method: str = "gist"
    settings: dict[str, Any] = Field(default_factory=dict)
    check: Check | None = None
    text_hash: str | None = None
    source_hash: str | None = None

    @property
    def positions(self) -> int:
        """Number of positions of the slots."""
        return self.n_gist if self.n_positions is None else self.n_positions

    def __hash__(self) -> int:
        """Hash the fields that distinguish gists; others are dictionaries."""
        return hash((self.n_context, self.n_gist, self.characters, self.model, self.text_hash))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GistCache:
    """One compressed document. Its tensors are never modified.

    Two gists are equal if descriptions and tensors are, for example a gist and its saved copy.

    Attributes:
        layers: Per layer keys and values `[1, K, G, D]`; see `model/uneven` for heads with
            different numbers of slots.
        info: Description of their origin.
    """

    layers: KeyValues
    info: GistInfo

    def __repr__(self) -> str:
        """Return a description of one line."""
        info = self.info
        return (
            f"GistCache({info.n_context:,} tokens -> {info.n_gist:,} slots "
            f"({self.compression_ratio:.0f}x), model {info.model!r}, method {info.method!r})"
        )

    def __eq__(self, other: object) -> bool:
        """Compare descriptions, types and all numbers, on whatever device."""
        if not isinstance(other, GistCache):
            return NotImplemented
        ours, theirs = ([t for layer in one.layers for t in layer] for one in (self, other))
        return (
            self.info == other.info
            and len(ours) == len(theirs)
            and all(
                a.dtype == b.dtype and torch.equal(a, b.to(a.device))
                for a, b in zip(ours, theirs, strict=True)
            )
        )

    def __hash__(self) -> int:
        """Hash the description; equal gists have equal hashes."""
        return hash(self.info)

    @property
    def compression_ratio(self) -> float:
        """Document tokens per slot."""
        return self.info.n_context / self.info.n_gist

    @property
    def kv_bytes(self) -> int:
        """Size of the keys and values in memory, including empty slots of shorter heads."""
        return size_bytes(self.layers)

    def checked(self, check: Check | None) -> GistCache:
        """Return the same gist with the result of a quality check, or without one."""
        return GistCache(self.layers, self.info.model_copy(update={"check": check}))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> GistCache:
        """Return the gist on a device and in a type; tensors already there are shared."""
        moved = tuple((k.to(device, dtype), v.to(device, dtype)) for k, v in self.layers)
        return GistCache(moved, self.info)

    def save(self, path: str | Path) -> Path:
        """Write a `*.gist.safetensors` file atomically, readable by its owner only.

        Equal gists give equal bytes.

        Raises:
            BadInputError: If the path cannot be written.
        """
        from dnsity.inference import gist_file

        return gist_file.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> GistCache:
        """Read and verify a gist file.

        Raises:
            BadInputError: If there is no such file.
            DamagedFileError: If it is damaged or altered.
        """
        from dnsity.inference import gist_file

        return gist_file.load(Path(path))
