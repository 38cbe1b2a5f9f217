"""A compressed document in memory: keys and values of its gists, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from dnsity.config import MOST, Config
from dnsity.gist.spec import FrameName
from dnsity.shapes import KeyValues

ENOUGH = 0.8
"""Share of the questions right with full context that a gist has to answer right."""

Progress = Callable[..., None]
"""Called with what is done, what there is to do (None: unknown), and perhaps how it stands."""


def ignore_progress(done: int, total: int | None, now: str = "") -> None:
    """Tell nobody."""


class Check(Config):
    """How a gist's answers compare with full context, see `inference.check`.

    Attributes:
        asked: Questions asked of both.
        full: Of these, answered right from the whole document.
        gists: Answered right from the gist.
        both: Answered right from both.
    """

    asked: int = Field(default=0, ge=0, le=MOST)
    full: int = Field(default=0, ge=0, le=MOST)
    gists: int = Field(default=0, ge=0, le=MOST)
    both: int = Field(default=0, ge=0, le=MOST)

    @property
    def says_something(self) -> bool:
        """Whether the base answers half of the questions from the whole document."""
        return self.asked > 0 and 2 * self.full >= self.asked

    @property
    def passed(self) -> bool:
        """Whether the gist keeps enough of what full context answers; also if nothing is known."""
        return not self.says_something or self.both >= ENOUGH * self.full

    def plus(self, whole: Sequence[bool], gists: Sequence[bool]) -> Check:
        """Count further questions: which are right from the whole document, and from the gist."""
        return Check(
            asked=self.asked + len(whole),
            full=self.full + sum(whole),
            gists=self.gists + sum(gists),
            both=self.both + sum(a and b for a, b in zip(whole, gists, strict=True)),
        )

    def __str__(self) -> str:
        """Say it in a sentence."""
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
    """What a gist file says about itself; never any text of the document.

    Attributes:
        n_context: Document tokens compressed.
        n_gist: Gist slots, over all chunks; the mean of all heads where they differ, rounded up.
        n_positions: Positions the slots take, where heads hold different numbers of slots: of each
            chunk as many as its fullest head holds. None: `n_gist`.
        slots: Slots of every head of every layer, where they differ; None: `n_gist` each.
        n_chunks: Chunks the document was cut into.
        characters: Characters of the document.
        full_kv_bytes: What the document's own keys and values would take in the same type.
        model: Name of the gist model.
        base: Type, compute type, quantisation and rotary embedding of the base model.
        fingerprints: What must match when the gist is used (`model/fingerprint.py`).
        weights_sha256: Of every single weight, for `verify --deep`; earlier versions wrote none.
        n_head: Tokens of the frame's head, whose slots precede the document's and are not in the
            file.
        frame: Whether the document was put in the chat template or into plain text (`data/frame`).
        system: System prompt of the chat frame, if one was given.
        instruction: Text between document and question of the chat frame, if one was given.
        method: What made it (`inference/methods`).
        settings: What the method was told, and what it did.
        text_hash: Keyed hash of the document (`inference/origin`); None in files of before.
        source_hash: Keyed hash of the name of the document's file, where the gist file got its
            name from it; else None.
        check: The quality check, where there was one.
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
        """Positions that the slots take."""
        return self.n_gist if self.n_positions is None else self.n_positions

    def __hash__(self) -> int:
        """Hash what tells gists apart; the rest holds dictionaries."""
        return hash((self.n_context, self.n_gist, self.characters, self.model, self.text_hash))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GistCache:
    """One compressed document. Its tensors are never written to.

    Two are equal if all they hold is: a gist and the same one loaded from its file.

    Attributes:
        layers: Per layer keys and values `[1, K, G, D]`; see `model/uneven` for heads that hold
            different numbers of slots.
        info: Where they come from.
    """

    layers: KeyValues
    info: GistInfo

    def __repr__(self) -> str:
        """Say in one line what it is of."""
        info = self.info
        return (
            f"GistCache({info.n_context:,} tokens -> {info.n_gist:,} slots "
            f"({self.compression_ratio:.0f}x), model {info.model!r}, method {info.method!r})"
        )

    def __eq__(self, other: object) -> bool:
        """Compare descriptions, types and every number, wherever the tensors are."""
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
        """Hash the description: equal gists have equal hashes."""
        return hash(self.info)

    @property
    def compression_ratio(self) -> float:
        """Context tokens per gist slot."""
        return self.info.n_context / self.info.n_gist

    @property
    def kv_bytes(self) -> int:
        """Size of the keys and values in memory, with the empty slots of shorter heads."""
        return sum(t.numel() * t.element_size() for layer in self.layers for t in layer)

    def checked(self, check: Check | None) -> GistCache:
        """Return the same gist with the result of a quality check, or without one."""
        return GistCache(self.layers, self.info.model_copy(update={"check": check}))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> GistCache:
        """Move to a device and type; tensors that are there already are shared, not copied."""
        moved = tuple((k.to(device, dtype), v.to(device, dtype)) for k, v in self.layers)
        return GistCache(moved, self.info)

    def save(self, path: str | Path) -> Path:
        """Write `*.gist.safetensors`: atomic, deterministic, readable by the owner only.

        Raises:
            BadInputError: If the path cannot be written.
        """
        from dnsity.inference import store

        return store.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> GistCache:
        """Read and verify a gist file.

        Raises:
            BadInputError: If there is no such file.
            DamagedFileError: If it is not what was written.
        """
        from dnsity.inference import store

        return store.load(Path(path))
