"""`dnsity data chunk`: split documents into chunks within a token limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dnsity.cli.console import progress_bar
from dnsity.cli.data.options import Output, counted, done
from dnsity.cli.options import MOST, Json, TokenizerOf, load_encoder
from dnsity.cli.overwriting import require_other_file


def command(
    source: Annotated[
        Path, typer.Argument(help="Text, Markdown or JSONL file, or a folder of them.")
    ],
    output: Output,
    tokens: Annotated[int, typer.Option(min=1, max=MOST, help="Maximum tokens per chunk.")] = 2048,
    overlap: Annotated[
        int,
        typer.Option(
            min=0, max=MOST, help="Maximum tokens that a chunk repeats from the previous one."
        ),
    ] = 0,
    tokenizer: TokenizerOf = "mini",
    json: Json = False,
) -> None:
    """Split documents at sentence boundaries.

    Paragraph boundaries are preferred. Each chunk has its exact character offsets.

    Example: dnsity data chunk handbook.md --tokens 1024 --overlap 64 -o chunks.jsonl
    """
    from dnsity.data.readers.corpus import stream_documents
    from dnsity.data.text.chunking import chunk
    from dnsity.io.jsonl import write_records

    require_other_file(output, source)
    encoder = load_encoder(tokenizer)

    def count_tokens(text: str) -> int:
        return len(encoder.encode(text))

    def records() -> Iterator[dict[str, Any]]:
        for name, text in stream_documents(source):
            for part in chunk(text, count_tokens, tokens, overlap, source=name):
                yield asdict(part)

    with progress_bar("chunks") as progress:
        count = write_records(output, counted(records(), progress, None))
    done(json, output, {"chunks": count})
