"""Many text files to many gist files: batched by length, resumable, one bad file costs one file.

    notices/            store/
      a.txt               a.txt.gist.safetensors
      more/b.md           more/b.md.gist.safetensors

A gist file is kept if it is whole, of the same model and method, and of the same text by its hash
(`inference/origin`). Times and sizes are not looked at: a text can change and keep both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnsity.data.readers.corpus import TEXT_SUFFIXES
from dnsity.errors import BadInputError, DamagedFileError, DnsityError, GistMismatchError
from dnsity.inference.check import check as check_answers
from dnsity.inference.compress import compress
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.listing import LeftOut, listing
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Method, finished, resumable
from dnsity.inference.methods.gist import Gist
from dnsity.inference.origin import made_of
from dnsity.inference.store import SUFFIX
from dnsity.io.text import read_text

NEW = "no gist yet"
"""Reason to compress a text that has no gist file; any other reason replaces one."""


@dataclass(frozen=True, slots=True)
class Job:
    """A text file and where its gists go, inside a store."""

    source: Path
    target: Path
    store: Path

    @property
    def link(self) -> Path | None:
        """A symbolic link below the store on the way to the target; it could lead out of it."""
        way = (self.target, *self.target.parents)
        return next((p for p in way if self.store in p.parents and p.is_symlink()), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: Which.
        tokens: Of the document; 0 if it was not compressed.
        error: Why it was not; empty if it was.
        info: What the gist file says of itself.
    """

    job: Job
    tokens: int = 0
    error: str = ""
    info: GistInfo | None = None


def survey(directory: Path, store: Path) -> tuple[list[Job], list[LeftOut]]:
    """List the text files below a directory, the largest first, and what is left out.

    Neighbours in the list are about as long, so batches waste little on padding; and what takes
    longest is known at once.
    """
    sources, left = listing(directory, store)
    sources.sort(key=lambda path: (-_size(path), path))
    return [
        Job(path, store / path.relative_to(directory).with_name(path.name + SUFFIX), store)
        for path in sources
    ], left


def jobs(directory: Path, store: Path) -> list[Job]:
    """List the text files below a directory, the largest first.

    Raises:
        BadInputError: If there is none.
    """
    listed, _ = survey(directory, store)
    if not listed:
        raise BadInputError(f"no {' or '.join(TEXT_SUFFIXES)} file in {directory}")
    return listed


def is_done(loaded: LoadedModel, job: Job, method: Method | None = None) -> bool:
    """Say whether the gists are there: whole, of this text, this model and this method."""
    return not reason_to_compress(loaded, job, method)


def reason_to_compress(loaded: LoadedModel, job: Job, method: Method | None = None) -> str:
    """Say why a text has to be compressed; empty if its gists are there."""
    method = method or Gist()
    if not os.path.lexists(job.target):
        return NEW
    if job.link:
        return "its gist file is a link"
    try:
        gist = GistCache.load(job.target)
        loaded.require_own(gist)
        if gist.info.text_hash is None:
            return "its gist file, of an earlier version, does not tell of which text it is"
        if not made_of(gist.info, read_text(job.source)):
            return "its text has changed, or the gist was of another text"
    except GistMismatchError:
        return "another model made its gist"
    except DamagedFileError:
        return "its gist file is damaged"
    except BadInputError:
        return "its text or its gist cannot be read"
    made = gist.info.method == method.name and method.made(loaded, gist.info)
    return "" if made else "its gist was made with other settings"


def compress_files(
    loaded: LoadedModel, todo: Sequence[Job], *, method: Method | None = None, batch_size: int = 8,
    check: bool = False,
) -> Iterator[Outcome]:  # fmt: skip
    """Compress text files batch by batch; each gist file is written as soon as its batch is done.

    Args:
        loaded: Model and tokenizer.
        todo: Files of about the same length side by side, as `jobs` lists them.
        method: How (None: with the model's own gist tokens).
        batch_size: Files per batch, where the method gains by it.
        check: Whether answers of each gist are compared with full context, see `inference.check`.

    Yields:
        One outcome per job, in order; a file that cannot be used does not stop the others.
    """
    method = method or Gist()
    size = batch_size if method.batched else 1
    for first in range(0, len(todo), size):
        batch = todo[first : first + size]
        texts: dict[Job, str] = {}
        errors: dict[Job, str] = {}
        for job in batch:
            try:
                if job.link is not None:
                    raise BadInputError(
                        f"{job.link} is a symbolic link, which may lead out of the store; "
                        "remove it or choose another store"
                    )
                job.target.parent.mkdir(parents=True, exist_ok=True)
                texts[job] = read_text(job.source)
            except OSError as error:
                errors[job] = f"cannot use {error.filename}: {error.strerror}"
            except BadInputError as error:
                errors[job] = str(error)
        made = _compressed(loaded, texts, errors, method)
        for job in batch:
            if job not in errors:
                try:
                    made[job] = _checked(loaded, made[job], texts[job], check)
                    made[job].save(job.target)
                    finished(resumable(method, job.target))
                except (OSError, BadInputError) as error:
                    errors[job] = str(error)
            if job in errors:
                yield Outcome(job, error=errors[job])
            else:
                yield Outcome(job, tokens=made[job].info.n_context, info=made[job].info)


def _checked(loaded: LoadedModel, gist: GistCache, text: str, wanted: bool) -> GistCache:
    if not wanted:
        return gist.checked(None)
    return gist if gist.info.check else gist.checked(check_answers(loaded, gist, text))


def _compressed(
    loaded: LoadedModel, texts: dict[Job, str], errors: dict[Job, str], method: Method
) -> dict[Job, GistCache]:
    """Compress a batch; if a document in it is refused, one by one, to find out which."""
    if method.batched:
        try:
            made = compress(loaded, list(texts.values()), method)
            return dict(zip(texts, made, strict=True))
        except BadInputError:
            pass
    found: dict[Job, GistCache] = {}
    for job, text in texts.items():
        try:
            found[job] = compress(loaded, [text], resumable(method, job.target))[0]
        except DnsityError as error:
            errors[job] = str(error)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it was removed just now: reading it says so
        return 0
