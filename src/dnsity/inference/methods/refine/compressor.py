"""Method `refine`: train the slots of one document, and nothing else; any base, minutes.

    start     the model's own gists, or kept keys and values (`select`) where it has none
    study     rows of text on the document, and what the base says of them with it (`study`)
    train     slots ──▶ base, frozen ──▶ the same answers; the best on held-out rows and questions
              is kept, the start where nothing was better

That is a cartridge (2506.06266) that starts from an amortised gist where there is one. A row of the
document's own words is learned by cross-entropy as well as from the base; see `study` for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from dnsity.config import Config, Seed
from dnsity.gist.layout import cut
from dnsity.inference.check import ROOM, Probe, held_out, parts
from dnsity.inference.gist_cache import Check, GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.chunks import chunks_for, joined, shares
from dnsity.inference.methods.document import cache_of, encode, require_smaller
from dnsity.inference.methods.gist import Gist
from dnsity.inference.methods.select import kept
from dnsity.inference.plan import Plan, measure, plan, require_time
from dnsity.inference.refining import Run, merged
from dnsity.inference.slots import Slots, State, identity
from dnsity.inference.study import rows_on
from dnsity.shapes import KeyValues

MINUTES = 2.0
"""How long where neither minutes nor steps are given."""


class Refine(Config):
    """Train a document's slots.

    Attributes:
        gists: Slots per window of the model, see `gist.layout` (None: as it has gists).
        minutes: How long at most, all told; 2 if neither this nor `steps` is given.
        steps: How many steps at most.
        start: `gist`, `select`, or `auto`: the first where the model has so many trained gists.
        rows: Rows on the document at most, see `study.rows_on`.
        rows_per_step: How many of them a step takes at most. With `minutes` both are sized by the
            model's measured speed, so that preparation takes about a third of the time.
        learning_rate: Step size as a share of the size of a layer's keys, or of its values.
        every_steps: Steps between looks at the held-out rows, at most; then the state is saved too.
        patience: Looks without a gain of 1/1000 after which training stops.
        seed: Of everything that is drawn.
        state: File that a run which was stopped goes on from; to be removed once the gist is saved
            (`inference.methods.finished`).
    """

    name: ClassVar[str] = "refine"
    needs_gists: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    gists: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=0)
    start: Literal["auto", "gist", "select"] = "auto"
    rows: int = Field(default=256, ge=16)
    rows_per_step: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    every_steps: int = Field(default=20, ge=1)
    patience: int = Field(default=8, ge=1)
    seed: Seed = 0
    state: Path | None = None

    @property
    def seconds(self) -> float | None:
        """How long it may take; None: as long as its steps do."""
        if self.minutes is None and self.steps is not None:
            return None
        return 60 * (self.minutes or MINUTES)

    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents one by one.

        Args:
            loaded: Model and tokenizer; no weight of it changes.
            texts: Documents.
            progress: Called with seconds (or steps) done and in all, and how many held-out
                questions are answered right.

        Raises:
            BadInputError: If a document is empty, not valid Unicode, has no more tokens than slots
                or does not fit the model's window; or the state is of another run.
            DamagedFileError: If the state is not what was written.
            DivergedError: If the loss is no number.
            UnsupportedModelError: If it starts from `select` and the model's keys cannot be moved.
        """
        return [self._compress(loaded, text, progress) for text in texts]

    def made(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Say whether a gist of this method and model was made with these settings."""
        # A file says of these what was done, not what was asked for.
        told = self.model_dump(mode="json", exclude={"state", "start", "steps"})
        return told.items() <= info.settings.items()

    def _compress(self, loaded: LoadedModel, text: str, progress: Progress) -> GistCache:
        ids = encode(loaded, text)
        spans, each = cut(len(ids), loaded.lm.spec, self.gists)
        slots = len(spans) * each
        require_smaller(loaded, len(ids), slots, self.gists or loaded.lm.spec.gists)
        chunks = chunks_for(loaded, len(ids), ROOM)
        if len(chunks) == 1:
            layers, settings, check = self._refined(loaded, text, ids, slots, progress)
            settings = {**self.model_dump(mode="json", exclude={"state"}), **settings}
            made = cache_of(loaded, text, len(ids), layers, method=self.name, settings=settings)
            return made.checked(check)
        also = [probe for _, probes in parts(loaded, text) for probe in probes]
        made_of = []
        for number, (start, stop) in enumerate(chunks):
            piece = ids[start:stop]
            own = self._share(number, len(chunks))
            made_of.append(own._refined(
                loaded, loaded.encoder.decode(piece), piece, shares(slots, chunks)[number],
                _told(progress, number, len(chunks)), also=also, chunks=len(chunks),
            ))  # fmt: skip
        settings = {
            **self.model_dump(mode="json", exclude={"state"}),
            **merged([settings for _, settings, _ in made_of]),
        }
        layers = joined(loaded, [layers for layers, _, _ in made_of])
        return cache_of(
            loaded, text, len(ids), layers, chunks=len(chunks), method=self.name, settings=settings
        )

    def _share(self, number: int, chunks: int) -> Refine:
        """Return the settings of one chunk: its share of the time and of the steps."""
        limits: dict[str, Any] = {}
        if self.seconds is not None:
            limits["minutes"] = self.seconds / 60 / chunks
        if self.steps is not None:
            limits["steps"] = -(-self.steps // chunks)
        if self.state is not None:
            limits["state"] = self.state.with_name(f"{self.state.name}.{number}")
        return self.model_copy(update=limits)

    def _refined(
        self, loaded: LoadedModel, text: str, ids: list[int], slots: int, progress: Progress, *,
        also: Sequence[Probe] = (), chunks: int = 1,
    ) -> tuple[KeyValues, dict[str, Any], Check]:  # fmt: skip
        """Train the slots of what fits the window whole.

        Args:
            loaded: Model and tokenizer.
            text: A document, or a chunk of one.
            ids: Its tokens.
            slots: How many it gets.
            progress: See `compress`.
            also: Further questions that are held out.
            chunks: Pieces of the document that take as long each.
        """
        run, state = self._prepared(loaded, text, ids, slots, progress, also, chunks)
        best, trained = run.train(state), run.slots
        settings = {
            "start": trained.start,
            "steps": trained.step,
            "seconds": round(run.elapsed, 1),
            "plan": run.plan.as_dict(),
            "questions": len(run.probes),
            "right_full": sum(trained.full),
            "kept_start": best.is_start and trained.step > 0,
            "abstains_full": run.abstains,
            **best.report(trained.before),
        }
        dtype, own = loaded.lm.base.dtype, loaded.without_head(best.layers)
        layers = tuple((keys.to(dtype), values.to(dtype)) for keys, values in own)
        return layers, settings, Check().plus(trained.full, best.answers)

    def _prepared(
        self, loaded: LoadedModel, text: str, ids: list[int], slots: int, progress: Progress,
        also: Sequence[Probe], chunks: int,
    ) -> tuple[Run, State]:  # fmt: skip
        """Do what comes before the first step, as much of it as there is time for."""
        began = time.perf_counter()
        told = self.model_dump(mode="json", exclude={"state", "minutes", "steps"})
        state = State(self.state, identity(ids, loaded.fingerprints, told))
        trained = state.load(loaded.device)
        head = len(loaded.frame.head)
        speed = None
        if self.seconds is not None and trained is None:
            self._tell("measuring the model's speed", began, progress)
            speed = measure(loaded, ids)
            repeated = self._first(loaded) == "select"
            require_time(speed, len(ids) + head, self.seconds, repeated=repeated, chunks=chunks)
        self._tell("reading the document", began, progress)
        reading = time.perf_counter()
        with loaded.lm.untouched():
            document = loaded.read(ids)
        if speed is not None:
            speed = replace(speed, each=max(speed.each, (time.perf_counter() - reading) / len(ids)))
        if trained is None:
            self._tell("making the start", began, progress)
            start, layers = self._start(loaded, text, ids, slots, document)
            # Without a head the first of real keys is the attention sink: changing it harms
            # everything.
            sink = int(start == "select" and not head)
            trained = Slots(loaded.after_head(layers), frozen=head + sink, start=start, head=head)
            trained.plan = self._most()
            if speed is not None and self.seconds is not None:
                spent = time.perf_counter() - began
                chat = loaded.frame.name == "chat"
                trained.plan = plan(speed, spent, self.seconds, trained.plan, chat=chat)
        planned = trained.plan or self._most()
        self._tell("preparing questions", began, progress)
        probes = held_out(loaded, text)
        rows = rows_on(
            loaded, text, ids, count=planned.rows, seed=self.seed, written=planned.written,
            sampled=planned.sampled, held_out=[*probes, *also],
        )  # fmt: skip
        run = Run(
            self, planned, loaded, trained, rows, probes, document, began - trained.seconds,
            progress,
        )  # fmt: skip
        return run, state

    def _most(self) -> Plan:
        """Return all that was asked for, as a run without a limit of time does it."""
        few = max(1, self.rows // 16)
        return Plan(self.rows, self.rows // 8, few, self.rows_per_step, self.every_steps)

    def _tell(self, what: str, began: float, progress: Progress) -> None:
        """Say what is prepared, where progress is told in seconds."""
        if self.seconds is not None and self.steps is None:
            progress(round(time.perf_counter() - began), round(self.seconds), what)

    def _first(self, loaded: LoadedModel) -> Literal["gist", "select"]:
        enough = loaded.trained and (self.gists or 1) <= loaded.lm.spec.gists
        if self.start == "gist" or (self.start == "auto" and enough):
            return "gist"
        return "select"

    def _start(
        self, loaded: LoadedModel, text: str, ids: list[int], slots: int, document: KeyValues
    ) -> tuple[str, KeyValues]:
        if self._first(loaded) == "gist":
            return "gist", Gist(gists=self.gists).compress(loaded, [text])[0].layers
        # With an adapter that answers, what was read without it is not what `select` keeps.
        read = loaded.after_head(document) if loaded.lm.peft_model is None else None
        return "select", kept(loaded, ids, slots, read=read)


def _told(progress: Progress, number: int, chunks: int) -> Progress:
    """Return the progress of one chunk as that of the whole document."""

    def tell(done: int, total: int | None, now: str = "") -> None:
        whole = None if total is None else total * chunks
        progress(done + number * (total or 0), whole, f"chunk {number + 1} of {chunks}: {now}")

    return tell
