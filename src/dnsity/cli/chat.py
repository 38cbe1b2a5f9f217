"""`dnsity chat`: questions to a gist, one after the other."""

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
Every line is a question. With a model that has a chat template it continues the conversation;
with others each question is asked alone.
  /new               forget the conversation so far
  /full [DOCUMENT]   the last question again, answered from the whole document
  /stats             what is kept of the document, and how fast answers begin
  /help              this
  /quit              leave (or Ctrl-D, Ctrl-C)"""


def command(
    file: Annotated[
        Path, typer.Argument(help="A *.gist.safetensors file, or a text to compress first.")
    ],
    model: GistsModel = None,
    frame: FrameOption = "auto",
    system: System = None,
    instruction: Instruction = None,
    device: Device = "cpu",
) -> None:
    """Ask a gist, question by question.

    One conversation, where the model has a chat template. /full shows what the whole document
    gives. --frame, --system and --instruction are for a text that is compressed first; a gist keeps
    what it was made with.

    Questions can be piped in, one a line. On a terminal the arrow keys bring earlier ones back.

    Example: dnsity chat handbook.gist.safetensors
    """
    from dnsity.inference.gist_cache import GistCache

    if file.suffix.lower() == ".safetensors":
        gist, text = GistCache.load(file), None
        if (frame, system, instruction) != ("auto", None, None):
            raise BadInputError(
                f"{file} keeps the frame it was made in; leave --frame, --system and "
                "--instruction out, or give the text"
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
        say("/help lists what can be typed", style="dim")
    for line in _lines():
        try:
            if not chat.take(line):
                break
        except DnsityError as error:
            err.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def _lines() -> Iterator[str]:
    """Yield what is typed or piped in, until it ends or Ctrl-C is pressed."""
    prompt = ""
    if sys.stdin.isatty():
        prompt = "> "
        with suppress(ImportError):  # not on every platform; there, no arrow keys
            import readline  # noqa: F401 - input() then keeps a history
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
    """One gist and what was asked of it."""

    def __init__(self, model: GistModel, gist: GistCache, text: str | None) -> None:
        """Begin.

        Args:
            model: Which answers.
            gist: The compressed document.
            text: The document itself, for `/full`; None if it is not known yet.
        """
        self.model = model
        self.gist = gist
        self.text = text
        self.question = ""
        self.turns: list[Turn] = []
        self.ttft_s: list[float] = []

    def take(self, line: str) -> bool:
        """Do what a line asks for; False: leave.

        Raises:
            BadInputError: If there is no such command, or it lacks something.
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
                raise BadInputError(f"no command {name!r}; /help lists them")
            case _:
                self.ask(line)
        return True

    def ask(self, question: str) -> None:
        """Answer from the gist, after the turns so far where the frame is a chat."""
        self.question = question
        try:
            answer = self.model.ask(self.gist, question, turns=self.turns)
        except BadInputError as error:
            if self.turns:
                raise BadInputError(f"{error}; or start over with /new") from error
            raise
        if self.model.loaded.frame.name == "chat":
            self.turns.append((question.strip(), answer.text))
        self.ttft_s.append(answer.ttft_s)
        say_answer(answer.text)

    def full(self, document: str) -> None:
        """Answer the last question from the whole document.

        Args:
            document: Where it is; empty if that was said before.
        """
        from dnsity.evaluation.methods import build

        if document:
            self.text = read_text(document)
        if self.text is None:
            raise BadInputError("a gist holds no text: say where it is with /full DOCUMENT")
        if not self.question:
            raise BadInputError("nothing was asked yet: ask, then compare with /full")
        method = build("full", self.model.loaded)
        with err.status("reading the whole document"):
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
        """Say what is kept, and how fast answers began."""
        info = self.gist.info
        say(
            f"{info.n_context:,} tokens -> {info.n_gist} gists "
            f"({self.gist.compression_ratio:.0f}x), keys and values "
            f"{data_size(info.full_kv_bytes)} -> {data_size(self.gist.kv_bytes)}"
        )
        if self.ttft_s:
            say(f"{len(self.ttft_s)} asked, first token after {duration(median(self.ttft_s))}")
