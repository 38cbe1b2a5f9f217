"""`dnsity chat`: a conversation about a compressed document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import err, progress_bar, say, say_answer
from dnsity.cli.options import (
    Device,
    FrameOption,
    GistsModel,
    Instruction,
    System,
    load_model,
    load_model_of,
)
from dnsity.errors import BadInputError, DnsityError
from dnsity.io.text import read_text
from dnsity.io.units import data_size, duration

if TYPE_CHECKING:
    from dnsity.data.text.chat import Turn
    from dnsity.inference.gist_cache import GistCache
    from dnsity.inference.gist_model import GistModel

HELP = """\
Every line is a question. A model with a chat template continues the conversation; other models
answer each question alone.
  /new               start a new conversation
  /full [DOCUMENT]   answer the last question again, from the whole document
  /stats             show the size of the gist and the time to first token
  /help              show this text
  /quit              quit (or Ctrl-D, Ctrl-C)"""


def command(
    file: Annotated[
        Path, typer.Argument(help="A *.gist.safetensors file, or a text file to compress first.")
    ],
    model: GistsModel = None,
    frame: FrameOption = "auto",
    system: System = None,
    instruction: Instruction = None,
    device: Device = "cpu",
) -> None:
    """Chat with a compressed document.

    A model with a chat template continues one conversation. /full answers from the whole document
    instead of the gist. --frame, --system and --instruction apply to a text that is compressed
    first; a gist file keeps its own.

    Questions can be piped in, one per line. On a terminal the arrow keys recall earlier ones.

    Example: dnsity chat handbook.gist.safetensors
    """
    from dnsity.inference.gist_cache import GistCache

    if file.suffix.lower() == ".safetensors":
        gist, text = GistCache.load(file), None
        if (frame, system, instruction) != ("auto", None, None):
            raise BadInputError(
                f"{file} keeps the frame it was made in; omit --frame, --system and --instruction, "
                "or give the text"
            )
        loaded = load_model_of(gist, model, device)
        loaded.loaded.require_own(gist)
    else:
        text = read_text(file)
        loaded = load_model(
            model or "mini", device, frame=frame, system=system, instruction=instruction
        )
        with progress_bar("compressing") as progress:
            gist = loaded.compress(text, progress=progress)
    chat = Chat(loaded, gist, text)
    if sys.stdin.isatty():
        chat.stats()
        say("/help lists the commands", style="dim")
    for line in _lines():
        try:
            if not chat.handle(line):
                break
        except DnsityError as error:
            err.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def _lines() -> Iterator[str]:
    """Yield the lines typed or piped in, until the input ends or Ctrl-C is pressed."""
    prompt = ""
    if sys.stdin.isatty():
        prompt = "> "
        with suppress(ImportError):  # some platforms lack it, and with it the arrow keys
            import readline  # noqa: F401 - gives input() a history
    while True:
        try:
            line = input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            if prompt:
                say("")
            return
        if line:
            yield line


class Chat:
    """A conversation about one gist."""

    def __init__(self, model: GistModel, gist: GistCache, text: str | None) -> None:
        """Start a conversation.

        Args:
            model: The model that answers.
            gist: The compressed document.
            text: The document itself, for `/full`; None if it is not known yet.
        """
        self.model = model
        self.gist = gist
        self.text = text
        self.question = ""
        self.turns: list[Turn] = []
        self.ttft_s: list[float] = []

    def handle(self, line: str) -> bool:
        """Answer a question or run a command; False ends the conversation.

        Raises:
            BadInputError: If there is no such command, or if it lacks an argument.
        """
        name, _, argument = line.partition(" ")
        match name:
            case "/quit" | "/exit":
                return False
            case "/help":
                say(HELP)
            case "/new":
                self.turns = []
            case "/stats":
                self.stats()
            case "/full":
                self.full(argument.strip())
            case _ if line.startswith("/"):
                raise BadInputError(f"no command {name!r}; /help lists the commands")
            case _:
                self.ask(line)
        return True

    def ask(self, question: str) -> None:
        """Answer from the gist; in the chat format conditioned on the turns so far."""
        self.question = question
        try:
            answer = self.model.ask(self.gist, question, turns=self.turns)
        except BadInputError as error:
            if self.turns:
                raise BadInputError(f"{error}; or start a new conversation with /new") from error
            raise
        if self.model.loaded.frame.name == "chat":
            self.turns.append((question.strip(), answer.text))
        self.ttft_s.append(answer.ttft_s)
        say_answer(answer.text)

    def full(self, document: str) -> None:
        """Answer the last question from the whole document.

        Args:
            document: Path of the document; empty if it is known already.
        """
        from dnsity.evaluation.methods import build

        if document:
            self.text = read_text(document)
        if self.text is None:
            raise BadInputError("a gist holds no text; name the document: /full DOCUMENT")
        if not self.question:
            raise BadInputError("there is no question yet; ask one, then compare with /full")
        method = build("full", self.model.loaded)
        with err.status("processing the whole document"):
            ingested = method.ingest(self.text)
            reply = method.answer(ingested, [self.question])[0]
        say(f"full context: {reply.text.strip()}")
        note = f"; {ingested.note}" if ingested.note else ""
        say(
            f"first token after {duration(reply.ttft_s)}, from the gist {duration(self.ttft_s[-1])}"
            + note,
            style="dim",
        )

    def stats(self) -> None:
        """Print the size of the gist and the median time to first token."""
        info = self.gist.info
        say(
            f"{info.n_context:,} tokens -> {info.n_gist} gists "
            f"({self.gist.compression_ratio:.0f}x), KV cache "
            f"{data_size(info.full_kv_bytes)} -> {data_size(self.gist.kv_bytes)}"
        )
        if self.ttft_s:
            questions = "question" if len(self.ttft_s) == 1 else "questions"
            first = duration(median(self.ttft_s))
            say(f"{len(self.ttft_s)} {questions}, first token after {first}")
