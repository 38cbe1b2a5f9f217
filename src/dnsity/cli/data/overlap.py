"""`dnsity data overlap`: find held-out text in training data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import progress_bar, say, show_json
from dnsity.cli.options import MOST, Json

HeldOutPaths = Annotated[
    list[Path], typer.Option("--held-out", help="Held-out corpus (repeatable).")
]
TrainingPaths = Annotated[
    list[Path], typer.Option("--training", help="Training corpus (repeatable).")
]
Words = Annotated[
    int,
    typer.Option(min=1, max=MOST, help="Length of a shared run of words that counts as overlap."),
]


def command(
    held_out: HeldOutPaths, training: TrainingPaths, words: Words = 13, json: Json = False
) -> None:
    """Find held-out text in training data.

    Counts runs of words that occur both in held-out documents and in the training text.

    Example: dnsity data overlap --held-out test.jsonl --training corpus.jsonl.xz
    """
    from dnsity.data.readers.corpus import Document, read_documents
    from dnsity.data.readers.overlap import HeldOut

    with progress_bar("training documents read") as progress:

        def training_documents() -> Iterator[Document]:
            documents = chain.from_iterable(map(read_documents, training))
            for number, document in enumerate(documents, start=1):
                yield document
                if number % 100 == 0:
                    progress(number, None)

        runs = HeldOut(chain.from_iterable(map(read_documents, held_out)), words)
        found = runs.compare(training_documents())
    shared = {name: one for name, one in found.items() if one.found}
    worst = sorted(shared.items(), key=lambda pair: -pair[1].share)
    if json:
        documents = [
            {"id": name, "share": one.share, "sources": sorted(one.sources)} for name, one in worst
        ]
        show_json({"documents": len(found), "sharing": len(shared), "shared": documents})
        return
    say(f"{len(shared)} of {len(found)} documents share runs of {words} words with training text")
    for name, one in worst[:10]:
        say(f"  {name}: {one.share:.1%} of its runs, for example in {min(one.sources)}")
