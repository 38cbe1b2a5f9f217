"""`dnsity data`: make training and evaluation data."""

from __future__ import annotations

import json as jsonlib
import random
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer

from dnsity.cli.console import say
from dnsity.errors import BadInputError

app = typer.Typer(help="Make training and evaluation data.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `data` a group while it has a single command."""


@app.command("niah")
def niah(
    haystack: Annotated[Path, typer.Option(help="JSONL of prose with a 'text' field.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSONL to write.")],
    language: Annotated[str, typer.Option(help="en or ko.")] = "en",
    samples: Annotated[int, typer.Option(min=1, help="Documents.")] = 100,
    characters: Annotated[int, typer.Option(min=100, help="Characters per document.")] = 4000,
    seed: Annotated[int, typer.Option(help="Same seed, same documents.")] = 0,
) -> None:
    """Hide one passkey in each of many passages of prose."""
    from dnsity.data.corpus import Corpus
    from dnsity.data.example import Language
    from dnsity.data.needles import passkey
    from dnsity.data.niah import fits, needle_example

    if language not in ("en", "ko"):
        raise BadInputError(f"language {language!r}: en or ko")
    tongue = cast(Language, language)
    corpus = Corpus([haystack], tongue, characters=50_000_000)
    lines = []
    for number in range(samples):
        rng = random.Random(f"{seed}/{number}")
        needle = passkey(rng, tongue)
        text, source = corpus.passage(rng, characters)
        while not fits(text, needle):
            text, source = corpus.passage(rng, characters)
        example = needle_example(rng, text, tongue, [needle], source=source)
        lines.append(jsonlib.dumps(asdict(example), ensure_ascii=False))
    try:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"cannot write {output}: {error.strerror}") from error
    say(f"{samples} documents in {output}")
