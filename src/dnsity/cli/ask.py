"""`dnsity ask`: questions to a gist file."""

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
        typer.Argument(help="What to ask; - reads standard input, a question a line."),
    ] = None,
    more: Annotated[
        list[str] | None, typer.Option("--question", "-q", help="Another question (repeatable).")
    ] = None,
    model: GistsModel = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.")] = 48,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.")] = 0.0,
    device: Device = "cpu",
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Ask although another model made the gist."),
    ] = False,
    json: Json = False,
) -> None:
    """Answer questions from a gist alone.

    An empty answer is an empty line, and "(no answer)" on standard error.

    Example: dnsity ask handbook.gist.safetensors "What is the passkey?"
    """
    _refuse_files(question or [], more or [])
    questions = [line for each in [*(question or []), *(more or [])] for line in _asked(each)]
    if not questions or not all(each.strip() for each in questions):
        raise BadInputError('nothing to ask: give a question, for example "What is the passkey?"')
    from dnsity.inference.generate import Sampling
    from dnsity.inference.gist_cache import GistCache

    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature)
    cache = GistCache.load(gist)
    loaded = load_model_of(cache, model, device)
    if allow_mismatch:
        cache = _adopted(loaded, cache)
    answers = loaded.ask(cache, questions, sampling)
    if json:
        show_json({"answers": [{**asdict(a), "answer": a.text} for a in answers]})
        return
    for answer in answers:
        if len(answers) > 1:
            say(answer.question, style="bold")
        say_answer(answer.text)


def _refuse_files(questions: Sequence[str], more: Sequence[str]) -> None:
    """Refuse files in the place of questions: one gist is asked at a time.

    A question that is also the name of a file can be asked by `--question`.

    Raises:
        BadInputError: If one is a gist file by its name, or an argument is a file that exists.
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
                f"{each!r} is a file, not a question; questions come after one gist file, or by "
                f"- from standard input (to ask exactly this, use --question {each!r})"
            )


def _asked(question: str) -> list[str]:
    """Take a question as it is given, or many from standard input."""
    if question != STANDARD_INPUT:
        return [question]
    return [line for line in read_text(STANDARD_INPUT).splitlines() if line.strip()]


def _adopted(model: GistModel, gist: GistCache) -> GistCache:
    """Take a gist that another model made, and say what that risks."""
    try:
        model.loaded.require_own(gist)
    except GistMismatchError as error:
        adopted = model.adopt(gist)
        warn(
            f"{error}. Asked all the same (--allow-mismatch): answers may be wrong, and nothing "
            "will show it"
        )
        return adopted
    return gist
