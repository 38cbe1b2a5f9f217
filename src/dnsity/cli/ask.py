"""`dnsity ask`: answer questions from a gist file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import say, say_answer, show_json, warn
from dnsity.cli.options import Device, GistsModel, Json, load_model_of
from dnsity.errors import BadInputError, GistMismatchError
from dnsity.io.formats import GIST_SUFFIX
from dnsity.io.text import STANDARD_INPUT, read_text

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import GistCache
    from dnsity.inference.gist_model import GistModel


def command(
    gist: Annotated[Path, typer.Argument(help="A *.gist.safetensors file.")],
    question: Annotated[
        list[str] | None,
        typer.Argument(help="Question; - reads one question per line from standard input."),
    ] = None,
    more: Annotated[
        list[str] | None, typer.Option("--question", "-q", help="Another question (repeatable).")
    ] = None,
    model: GistsModel = None,
    max_new_tokens: Annotated[
        int, typer.Option(help="Maximum length of an answer in tokens.")
    ] = 48,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; 0 decodes greedily.")
    ] = 0.0,
    device: Device = "cpu",
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Answer even if another model made the gist."),
    ] = False,
    json: Json = False,
) -> None:
    """Answer questions from a gist file.

    An empty answer prints an empty line, and "(no answer)" on standard error.

    Example: dnsity ask handbook.gist.safetensors "What is the passkey?"
    """
    _refuse_files(question or [], more or [])
    given = [*(question or []), *(more or [])]
    questions = [line for each in given for line in _read_questions(each)]
    if not questions or not all(each.strip() for each in questions):
        raise BadInputError('nothing to ask: give a question, for example "What is the passkey?"')
    from dnsity.inference.generate import Sampling
    from dnsity.inference.gist_cache import GistCache

    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature)
    cache = GistCache.load(gist)
    loaded = load_model_of(cache, model, device)
    if allow_mismatch:
        cache = _accept_mismatch(loaded, cache)
    answers = loaded.ask(cache, questions, sampling)
    if json:
        show_json({"answers": [{**asdict(a), "answer": a.text} for a in answers]})
        return
    for answer in answers:
        if len(answers) > 1:
            say(answer.question, style="bold")
        say_answer(answer.text)


def _refuse_files(questions: Sequence[str], more: Sequence[str]) -> None:
    """Refuse a file given as a question: the command takes one gist at a time.

    `--question` accepts a question that is also the name of a file.

    Raises:
        BadInputError: If a question has the suffix of a gist file, or an argument is a file.
    """
    for each in [*questions, *more]:
        if each.lower().endswith(GIST_SUFFIX):
            raise BadInputError(
                f"{each!r} is a gist file, not a question; ask one gist at a time: "
                'dnsity ask FILE "QUESTION"'
            )
    for each in questions:
        if each != STANDARD_INPUT and os.path.exists(each):
            raise BadInputError(
                f"{each!r} is a file, not a question; give the questions after one gist file, or "
                f"- for standard input (to ask exactly this, use --question {each!r})"
            )


def _read_questions(question: str) -> list[str]:
    """Return the question itself, or the questions on standard input."""
    if question != STANDARD_INPUT:
        return [question]
    return [line for line in read_text(STANDARD_INPUT).splitlines() if line.strip()]


def _accept_mismatch(model: GistModel, gist: GistCache) -> GistCache:
    """Accept a gist that another model made, with a warning."""
    try:
        model.loaded.require_own(gist)
    except GistMismatchError as error:
        adopted = model.adopt(gist)
        warn(
            f"{error}. Asked anyway (--allow-mismatch): answers may be wrong without any further "
            "sign"
        )
        return adopted
    return gist
