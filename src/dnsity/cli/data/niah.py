"""`dnsity data niah`: make needle-in-a-haystack documents."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dnsity.cli.console import progress_bar
from dnsity.cli.data.options import LanguageOption, Output, Seed, counted, done
from dnsity.cli.options import Json, TokenizerOf, load_encoder
from dnsity.cli.overwriting import require_other_file
from dnsity.errors import BadInputError

Form = Annotated[
    str,
    typer.Option(
        help="Form of the needles: prose (a sentence each), list or table (in one place)."
    ),
]
Haystack = Annotated[
    str,
    typer.Option(
        help="Haystack: filler (easy), or prose (hard) from a text or JSONL file, a folder of "
        "them, or hf:NAME:SPLIT."
    ),
]
_PARALLEL_FROM = 500
"""Documents from which several processes are faster, since each takes 3 s to start."""


def command(
    output: Output,
    language: LanguageOption = "en",
    samples: Annotated[int, typer.Option(help="Number of documents.")] = 100,
    tokens: Annotated[
        str, typer.Option(help="Document lengths in tokens, for example 512,2048.")
    ] = "2048",
    depths: Annotated[
        str, typer.Option(help="Depths of the first needle, from 0 (start) to 1 (end).")
    ] = "0,0.25,0.5,0.75,1",
    needles: Annotated[int, typer.Option(help="Needles per document.")] = 1,
    asked: Annotated[
        int | None, typer.Option(help="Questions per document (default: one per needle).")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Kind of needle: passkey, word, spoken, fact or uuid.")
    ] = "passkey",
    form: Form = "prose",
    digits: Annotated[str, typer.Option(help="Numbers of digits in passkeys.")] = "5,6,7",
    haystack: Haystack = "filler",
    tokenizer: TokenizerOf = "mini",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Hide needles in haystacks.

    Documents have exact token counts and cover a grid of depths and lengths.

    Example: dnsity data niah --language ko --tokens 512,2048 --haystack prose.jsonl -o ko.jsonl
    """
    from dnsity.config import validated
    from dnsity.data.generators.niah import NiahConfig, generate
    from dnsity.io.jsonl import write_records

    require_other_file(output, haystack)
    config = validated(
        NiahConfig,
        {
            "language": language,
            "samples": samples,
            "tokens": _numbers(tokens, "--tokens"),
            "depths": _numbers(depths, "--depths"),
            "needles": needles,
            "asked": asked,
            "kind": kind,
            "form": form,
            "digits": _numbers(digits, "--digits"),
            "haystack": haystack,
            "seed": seed,
        },
        "options",
    )
    with progress_bar("documents") as progress:
        examples = generate(config, load_encoder(tokenizer), workers=_workers(samples))
        records = (example.to_record() for example in examples)
        count = write_records(output, counted(records, progress, samples))
    done(json, output, {"documents": count, "questions": count * (asked or needles)})


def _workers(samples: int) -> int:
    """Return the number of processes: one for a small set, otherwise one per core."""
    return (os.cpu_count() or 1) if samples >= _PARALLEL_FROM else 1


def _numbers(text: str, option: str) -> list[float]:
    """Parse numbers such as `512,2048`."""
    try:
        return [float(part) if "." in part else int(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInputError(f"{option} takes numbers separated by commas, got {text!r}") from error
