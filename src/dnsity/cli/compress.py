"""`dnsity compress`: a text file to a gist file, or a folder of texts to a folder of gist files."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import progress_bar, say, show_json, warn
from dnsity.cli.options import (
    MOST_JOBS,
    Device,
    FrameOption,
    Instruction,
    Json,
    Model,
    System,
    load_model,
)
from dnsity.cli.overwriting import is_same_file, require_replaceable
from dnsity.cli.quality import check_report, warn_of_quality
from dnsity.errors import BadInputError
from dnsity.io.formats import GIST_SUFFIX
from dnsity.io.text import STANDARD_INPUT, read_text
from dnsity.io.units import data_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnsity.inference.gist_cache import GistCache, GistInfo
    from dnsity.inference.gist_model import GistModel
    from dnsity.inference.methods import Compressor

Document = Annotated[
    str,
    typer.Argument(help="UTF-8 text file, - for standard input, or a folder of texts."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Gist file (default: next to the input), or folder."),
]
MethodName = Annotated[
    str,
    typer.Option(
        "--method", help="Method: gist (trained gist tokens), refine or select (any base)."
    ),
]
Gists = Annotated[
    int | None,
    typer.Option(
        help="Slots: per window (gist, refine; default: as trained) or in total (select)."
    ),
]
Ratio = Annotated[
    float | None, typer.Option(help="Document tokens per slot, of select (default: 2).")
]
Even = Annotated[
    bool | None,
    typer.Option(
        "--even",
        help="Keep the same number of slots in every head; of select. Export requires it.",
        show_default=False,
    ),
]
Minutes = Annotated[
    float | None, typer.Option(help="Time limit of refine in minutes (default: 2).")
]
Steps = Annotated[int | None, typer.Option(help="Maximum number of training steps of refine.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Setting of the method by name, for example minutes=5 (repeatable)."
    ),
]
CheckAnswers = Annotated[
    bool | None,
    typer.Option(
        "--check/--no-check",
        help="Compare answers from the gists with answers from the whole document; seconds "
        "(default: with select and refine).",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Number of processes, for a folder.")]


def command(
    document: Document,
    output: Output = None,
    model: Model = "mini",
    method: MethodName = "gist",
    gists: Gists = None,
    ratio: Ratio = None,
    even: Even = None,
    minutes: Minutes = None,
    steps: Steps = None,
    settings: Settings = None,
    check: CheckAnswers = None,
    frame: FrameOption = "auto",
    system: System = None,
    instruction: Instruction = None,
    jobs: Jobs = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Compress a document or a folder of texts.

    The gist is saved; the text is not needed to ask questions about it.

    Example: dnsity compress handbook.txt -o handbook.gist.safetensors
    """
    is_folder = os.path.isdir(document)
    text = "" if is_folder else read_text(document)  # refuses other files before the slow imports
    from dnsity.inference.methods import build_compressor

    shortcuts = {"gists": gists, "ratio": ratio, "even": even, "minutes": minutes, "steps": steps}
    how = build_compressor(method, shortcuts, settings or [])
    load = partial(load_model, model, device, frame=frame, system=system, instruction=instruction)
    check = how.checked_by_default if check is None else check
    if not is_folder:
        _compress_file(document, text, output, load=load, method=how, check=check, json=json)
        return
    if output is None:
        raise BadInputError(f"{document} is a folder; say where its gists go with -o FOLDER")
    from dnsity.cli.compress_many import compress_folder

    compress_folder(
        Path(document), output, load=load, method=how, workers=jobs, check=check, json=json
    )


def _compress_file(
    document: str, text: str, output: Path | None, *, load: Callable[[], GistModel],
    method: Compressor, check: bool, json: bool,
) -> None:  # fmt: skip
    """Compress one document, save its gist and report the result."""
    from dnsity.inference.methods import remove_state_files, with_state_file
    from dnsity.inference.origin import with_file_name

    target = output if output is not None else _default_target(document)
    _require_writable(target, document)
    before = require_replaceable(target, partial(_is_of, document, text), chosen=output is not None)
    model = load()
    same_model = before is not None and before.fingerprints == model.loaded.fingerprints
    if before and not (same_model and method.made(model.loaded, before)):
        warn(f"{target} was made with another model, method or settings; it is replaced")
    method = with_state_file(method, target)
    started = time.perf_counter()
    with progress_bar("compressing", lines=True) as progress:
        gist = model.compress(text, method=method, progress=progress)
    seconds = time.perf_counter() - started
    if check and gist.info.check is None:
        with progress_bar("checking answers"):
            gist = gist.checked(model.check(gist, text))
    gist = gist if check else gist.checked(None)
    if output is None:  # a later document with the same default name is then recognised
        gist = with_file_name(gist, document)
    gist.save(target)
    remove_state_files(method)
    warn_of_quality(gist.info)
    if json:
        show_json({**_as_json(gist, seconds), "path": str(target)})
    else:
        _show(gist, model, seconds)
        say(f"saved {target}")


def _as_json(gist: GistCache, seconds: float) -> dict[str, object]:
    """Return the result of a compression for --json."""
    info = gist.info
    return {
        "context_tokens": info.n_context,
        "characters": info.characters,
        "chunks": info.n_chunks,
        "gist_tokens": info.n_gist,
        "compression_ratio": gist.compression_ratio,
        "gist_kv_bytes": gist.kv_bytes,
        "full_kv_bytes": info.full_kv_bytes,
        "seconds": seconds,
        "method": info.method,
        "settings": info.settings,
        "check": None if info.check is None else check_report(info.check),
    }


def _show(gist: GistCache, model: GistModel, seconds: float) -> None:
    """Print the result of a compression."""
    from dnsity.inference.methods import COMPRESSORS

    info = gist.info
    say(
        f"{info.n_context:,} tokens -> {info.n_gist} gists ({gist.compression_ratio:.0f}x), "
        f"KV {data_size(info.full_kv_bytes)} -> {data_size(gist.kv_bytes)}"
        f"{'' if info.slots is None else ' in memory'}, {seconds:.2f} s"
    )
    if info.n_chunks > 1:
        spec = model.loaded.lm.spec
        longest = spec.chunk_tokens or spec.window_tokens
        say(f"longer than a pass of {longest:,} tokens: compressed in {info.n_chunks} chunks")
    summary = COMPRESSORS[info.method].report(info.settings).summary
    if summary:
        say(summary)
    if info.check is not None:
        say(f"check: {info.check}")


def _default_target(document: str) -> Path:
    """Return the gist file next to a document."""
    if document == STANDARD_INPUT:
        raise BadInputError("standard input has no name; say where to save with -o FILE")
    return Path(document).with_suffix(GIST_SUFFIX)


def _is_of(document: str, text: str, info: GistInfo) -> bool:
    """Return whether a gist was made from this text, or from a file of this name."""
    from dnsity.inference.origin import is_made_from, source_hash

    if is_made_from(info, text):
        return True
    named = document != STANDARD_INPUT
    return named and info.source_hash == source_hash(document, info.fingerprints)


def _require_writable(target: Path, document: str) -> None:
    """Refuse a target that cannot be written, or that is the document, before any work."""
    if os.path.isdir(target):
        raise BadInputError(f"{target} is a directory; give a file name with -o")
    if document != STANDARD_INPUT and is_same_file(target, document):
        raise BadInputError(f"{target} is the document itself; choose another name with -o")
    if not os.path.isdir(target.parent):
        raise BadInputError(f"directory {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise BadInputError(f"no permission to write in {target.parent}; choose another with -o")
