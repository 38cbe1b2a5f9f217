"""`dnsity compress`: a text file to a gist file, or a folder of them to a folder."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import progress_bar, say, show_json
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
from dnsity.cli.overwriting import require_replaceable
from dnsity.cli.quality import check_report, refined, warn_of_quality
from dnsity.errors import BadInputError
from dnsity.io.text import STANDARD_INPUT, read_text
from dnsity.io.units import data_size

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import GistInfo


def command(
    document: Annotated[
        str, typer.Argument(help="UTF-8 text file, - for standard input, or a folder of texts.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Gist file (default: beside the input), or folder."),
    ] = None,
    model: Model = "mini",
    method: Annotated[
        str, typer.Option(help="gist (trained gist tokens), refine or select (any base).")
    ] = "gist",
    gists: Annotated[
        int | None,
        typer.Option(
            help="Slots: per window (gist, refine; default: as trained) or in all (select)."
        ),
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="select: document tokens per slot (default: 2).")
    ] = None,
    even: Annotated[
        bool | None,
        typer.Option(
            "--even",
            help="select: the same number of slots in every head, as export needs.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="refine: how long at most (default: 2).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="refine: how many steps at most.")] = None,
    check: Annotated[
        bool | None,
        typer.Option(
            "--check/--no-check",
            help="Ask the gists and the whole document the same questions; seconds (default: with "
            "select and refine).",
            show_default=False,
        ),
    ] = None,
    frame: FrameOption = "auto",
    system: System = None,
    instruction: Instruction = None,
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes, for a folder.")] = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Compress a document, or a folder of them.

    Gist tokens are saved; the text is not needed to ask them.

    Example: dnsity compress handbook.txt -o handbook.gist.safetensors
    """
    is_folder = os.path.isdir(document)
    text = "" if is_folder else read_text(document)  # what is no text is refused at once
    from dnsity.inference.methods import finished, method_of, resumable
    from dnsity.inference.origin import from_file

    load = partial(load_model, model, device, frame=frame, system=system, instruction=instruction)
    how = method_of(method, gists=gists, ratio=ratio, even=even, minutes=minutes, steps=steps)
    check = how.name != "gist" if check is None else check
    if is_folder:
        if output is None:
            raise BadInputError(f"{document} is a folder; say where its gists go with -o FOLDER")
        from dnsity.cli.compress_many import compress_folder

        compress_folder(
            Path(document), output, load=load, method=how, workers=jobs, json=json, check=check
        )
        return
    target = output if output is not None else _beside(document)
    _require_writable(target, document)
    require_replaceable(target, partial(_is_of, document, text), chosen=output is not None)
    loaded = load()
    how = resumable(how, target)
    started = time.perf_counter()
    with progress_bar("compressing", lines=True) as progress:
        gist = loaded.compress(text, method=how, progress=progress)
    seconds = time.perf_counter() - started
    if check and gist.info.check is None:
        with progress_bar("checking answers"):
            gist = gist.checked(loaded.check(gist, text))
    gist = gist if check else gist.checked(None)
    if output is None:  # the next document whose default name this is can tell
        gist = from_file(gist, document)
    gist.save(target)
    finished(how)
    info = gist.info
    warn_of_quality(info)
    if json:
        show_json(
            {
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
                "path": str(target),
            }
        )
        return
    say(
        f"{info.n_context:,} tokens -> {info.n_gist} gists ({gist.compression_ratio:.0f}x), "
        f"KV {data_size(info.full_kv_bytes)} -> {data_size(gist.kv_bytes)}"
        f"{'' if info.slots is None else ' in memory'}, {seconds:.2f} s"
    )
    if info.n_chunks > 1:
        spec = loaded.loaded.lm.spec
        longest = spec.chunk_tokens or spec.window_tokens
        say(f"longer than a pass of {longest:,} tokens: compressed in {info.n_chunks} chunks")
    if info.method == "refine":
        say(refined(info.settings))
    if info.check is not None:
        say(f"check: {info.check}")
    say(f"saved {target}")


def _beside(document: str) -> Path:
    if document == STANDARD_INPUT:
        raise BadInputError("standard input has no name; say where to save with -o FILE")
    return Path(document).with_suffix(".gist.safetensors")


def _is_of(document: str, text: str, info: GistInfo) -> bool:
    """Say whether a gist is of this text, or was read from a file of this name."""
    from dnsity.inference.origin import made_of, source_hash

    if made_of(info, text):
        return True
    named = document != STANDARD_INPUT
    return named and info.source_hash == source_hash(document, info.fingerprints)


def _require_writable(target: Path, document: str) -> None:
    """Fail before the work, not after it; and never write over the document."""
    if os.path.isdir(target):
        raise BadInputError(f"{target} is a directory; give a file name with -o")
    if document != STANDARD_INPUT and os.path.exists(target) and os.path.samefile(target, document):
        raise BadInputError(f"{target} is the document itself; choose another name with -o")
    if not os.path.isdir(target.parent):
        raise BadInputError(f"directory {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise BadInputError(f"no permission to write in {target.parent}; choose another with -o")
