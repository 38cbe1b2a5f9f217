"""Many text files to many gist files: batched by length, resumable, errors kept per file.

    notices/            store/
      a.txt               a.txt.gist.safetensors
      more/b.md           more/b.md.gist.safetensors

A gist file is kept if it is intact, was made by the same model and method, and has the text's hash
(`inference/origin`). File times and sizes are ignored: a text can change and keep both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnsity.errors import BadInputError, DamagedFileError, DnsityError, GistMismatchError
from dnsity.inference.check import check as check_answers
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.inference.listing import LeftOut, listing
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Compressor, remove_state_files, with_state_file
from dnsity.inference.origin import is_made_from
from dnsity.io.formats import GIST_SUFFIX
from dnsity.io.text import read_text

NEW = "no gist yet"
"""Reason to compress a text that has no gist file; any other reason replaces one."""


@dataclass(frozen=True, slots=True)
class Job:
    """A text file and the gist file to write, inside a store."""

    source: Path
    target: Path
    store: Path

    @property
    def link(self) -> Path | None:
        """A symbolic link on the path from the store to the target; it could leave the store."""
        path = (self.target, *self.target.parents)
        return next((p for p in path if self.store in p.parents and p.is_symlink()), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        job: The job.
        tokens: Tokens of the document; 0 if it was not compressed.
        error: Reason why it was not compressed; empty if it was.
        info: Description stored in the gist file.
    """

    job: Job
    tokens: int = 0
    error: str = ""
    info: GistInfo | None = None


def survey(directory: Path, store: Path) -> tuple[list[Job], list[LeftOut]]:
    """Return the text files below a directory, largest first, and what is left out.

    Neighbours in the list have similar lengths, so batches need little padding, and the slowest
    files come first.
    """
    sources, left = listing(directory, store)
    sources.sort(key=lambda path: (-_size(path), path))
    return [
        Job(path, store / path.relative_to(directory).with_name(path.name + GIST_SUFFIX), store)
        for path in sources
    ], left


def reason_to_compress(loaded: LoadedModel, job: Job, method: Compressor) -> str:
    """Return the reason why a text has to be compressed; empty if it does not."""
    if not os.path.lexists(job.target):
        return NEW
    if job.link:
        return "its gist file is a link"
    try:
        gist = GistCache.load(job.target)
        loaded.require_own(gist)
        if gist.info.text_hash is None:
            return "its gist file, of an earlier version, does not tell of which text it is"
        if not is_made_from(gist.info, read_text(job.source)):
            return "its text has changed, or the gist was of another text"
    except GistMismatchError:
        return "another model made its gist"
    except DamagedFileError:
        return "its gist file is damaged"
    except BadInputError:
        return "its text or its gist cannot be read"
    return "" if method.made(loaded, gist.info) else "its gist was made with other settings"


def compress_files(
    loaded: LoadedModel, todo: Sequence[Job], *, method: Compressor, batch_size: int = 8,
    check: bool = False,
) -> Iterator[Outcome]:  # fmt: skip
    """Compress text files batch by batch, and write each gist file when its batch is done.

    Args:
        loaded: Model and tokenizer.
        todo: Files sorted by length, as `survey` lists them.
        method: Compression method.
        batch_size: Files per batch, if the method compresses in batches.
        check: Whether to compare answers of each gist with full context, see `inference.check`.

    Yields:
        One outcome per job, in order; a file that cannot be used does not stop the others.
    """
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
                    remove_state_files(with_state_file(method, job.target))
                except (OSError, BadInputError) as error:
                    errors[job] = str(error)
            if job in errors:
                yield Outcome(job, error=errors[job])
            else:
                yield Outcome(job, tokens=made[job].info.n_context, info=made[job].info)


def _checked(loaded: LoadedModel, gist: GistCache, text: str, wanted: bool) -> GistCache:
    """Return the gist with the result of its quality check, or without one."""
    if not wanted:
        return gist.checked(None)
    return gist if gist.info.check else gist.checked(check_answers(loaded, gist, text))


def _compressed(
    loaded: LoadedModel, texts: dict[Job, str], errors: dict[Job, str], method: Compressor
) -> dict[Job, GistCache]:
    """Compress a batch; if it is refused, compress one by one to find the documents at fault."""
    if method.batched:
        try:
            made = method.compress(loaded, list(texts.values()))
            return dict(zip(texts, made, strict=True))
        except BadInputError:
            pass
    found: dict[Job, GistCache] = {}
    for job, text in texts.items():
        try:
            found[job] = with_state_file(method, job.target).compress(loaded, [text])[0]
        except DnsityError as error:
            errors[job] = str(error)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # just removed; reading it reports the error
        return 0
