"""Options and output that the `dnsity data` commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from dnsity.cli.console import say, show_json
from dnsity.data.example import Language
from dnsity.errors import BadInputError

Output = Annotated[Path, typer.Option("--output", "-o", help="JSONL file to write.")]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Random seed; the same seed gives the same records."),
]
LanguageOption = Annotated[str, typer.Option("--language", help="Language: en or ko.")]


def language_of(text: str) -> Language:
    """Validate a language code.

    Raises:
        BadInputError: If the language is not supported.
    """
    if text not in get_args(Language):
        raise BadInputError(f"--language {text!r}: allowed are {', '.join(get_args(Language))}")
    return cast(Language, text)


def counted(
    records: Iterable[dict[str, Any]],
    progress: Callable[[int, int | None], None],
    total: int | None,
) -> Iterator[dict[str, Any]]:
    """Yield the records and advance the progress bar."""
    for number, record in enumerate(records, start=1):
        yield record
        progress(number, total)


def done(json: bool, output: Path, counts: dict[str, Any]) -> None:
    """Print the counts and the path of the output."""
    if json:
        show_json({"path": str(output), **counts})
    else:
        say(f"{', '.join(f'{value:,} {name}' for name, value in counts.items())} in {output}")
