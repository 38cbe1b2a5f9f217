"""Method `refine`: train the slots of one document, and nothing else; any base, minutes.

    start     the model's own gists, or kept keys and values (`select`) where it has none
    study     rows of text on the document, and what the base says of them with it (`study`)
    train     slots ──▶ base, frozen ──▶ the same answers; the best on held-out rows is kept

That is a cartridge (2506.06266) that starts from an amortised gist where there is one. A row of the
document's own words is learned by cross-entropy as well as from the base; see `study` for the rest.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from pydantic import Field

from dnsity.config import Config
from dnsity.errors import DivergedError
from dnsity.gist.layout import cut
from dnsity.inference.gist_cache import GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.document import cache_of, encode, require_readable, require_smaller
from dnsity.inference.methods.gist import Gist
from dnsity.inference.methods.select import kept
from dnsity.inference.slots import Best, Slots, State, identity
from dnsity.inference.study import Kind, Lesson, Row, lessons, rows_on
from dnsity.inference.trial import Pair, Score, abstains, frozen, loss_of, score
from dnsity.model.finite import type_name
from dnsity.shapes import KeyValues

MINUTES = 2.0
"""How long where neither minutes nor steps are given."""
_HELD_OUT: dict[Kind, int] = {"foreign": 2}
"""Of a kind, one row in so many is not learned from; of others one in 8. Few are foreign, and they
have to tell whether harm is done."""
_BESIDE = 128
"""Positions that rows take behind the document."""
_WARM_UP = 10
_LEAST_RATE = 0.03


class Refine(Config):
    """Train a document's slots.

    Attributes:
        gists: Slots per window of the model, see `gist.layout` (None: as it has gists).
        minutes: How long at most, all told; 2 if neither this nor `steps` is given.
        steps: How many steps at most.
        start: `gist`, `select`, or `auto`: the first where the model has so many trained gists.
        rows: Rows on the document, see `study.rows_on`.
        rows_per_step: How many of them a step takes.
        learning_rate: Step size as a share of the size of a layer's keys, or of its values.
        every_steps: Steps between looks at the held-out rows; then the state is saved too.
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
    seed: int = 0
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
            progress: Called with seconds (or steps) done and in all, and how much of the gap to
                full context is closed on held-out rows.

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
        began = time.perf_counter()
        ids = encode(loaded, text)
        spans, each = cut(len(ids), loaded.lm.spec, self.gists)
        slots = len(spans) * each
        require_smaller(loaded, len(ids), slots, self.gists or loaded.lm.spec.gists)
        require_readable(loaded, len(ids), _BESIDE, self.name)
        told = self.model_dump(mode="json", exclude={"state", "minutes", "steps"})
        state = State(self.state, identity(ids, loaded.fingerprints, told))
        trained = state.load(loaded.device)
        if trained is None:
            start, layers = self._start(loaded, text, ids, slots)
            head = len(loaded.frame.head)
            # Without a head the first of real keys is the attention sink: changing it harms
            # everything.
            sink = int(start == "select" and not head)
            trained = Slots(loaded.after_head(layers), frozen=head + sink, start=start, head=head)
        with loaded.lm.untouched():
            document = loaded.read(ids)
        rows = rows_on(loaded, text, ids, count=self.rows, seed=self.seed)
        run = _Run(self, loaded, trained, rows, document, began - trained.seconds, progress)
        best = run.train(state)
        settings = {
            **self.model_dump(mode="json", exclude={"state"}),
            "start": trained.start,
            "steps": trained.step,
            "seconds": round(run.elapsed, 1),
            "abstains_full": run.abstains,
            **best.report(trained.before),
        }
        dtype, first = loaded.lm.base.dtype, len(loaded.frame.head)
        layers = tuple(
            (k[:, :, first:].to(dtype), v[:, :, first:].to(dtype)) for k, v in best.layers
        )
        return cache_of(loaded, text, len(ids), layers, method=self.name, settings=settings)

    def _start(
        self, loaded: LoadedModel, text: str, ids: list[int], slots: int
    ) -> tuple[str, KeyValues]:
        enough = loaded.trained and (self.gists or 1) <= loaded.lm.spec.gists
        if self.start == "gist" or (self.start == "auto" and enough):
            return "gist", Gist(gists=self.gists).compress(loaded, [text])[0].layers
        return "select", kept(loaded, ids, slots)


class _Run:
    """One document's training.

    Args:
        settings: What was asked for.
        loaded: Model and tokenizer.
        slots: What is trained.
        rows: All that is studied.
        document: The document's keys and values.
        began: When the clock of `seconds` began.
        progress: See `Refine.compress`.
    """

    def __init__(
        self, settings: Refine, loaded: LoadedModel, slots: Slots, rows: list[Row],
        document: KeyValues, began: float, progress: Progress,
    ) -> None:  # fmt: skip
        self.settings, self.loaded, self.slots = settings, loaded, slots
        self.began, self.progress = began, progress
        self.document = document
        self.said: dict[int, Lesson] = {}
        held_out: list[Row] = []
        self.rows: list[Row] = []
        for kind in get_args(Kind):
            for number, row in enumerate(row for row in rows if row.kind == kind):
                learned = number % _HELD_OUT.get(kind, 8)
                (self.rows if learned else held_out).append(row)
        random.Random(settings.seed).shuffle(self.rows)
        said = lessons(loaded, held_out, document)
        self.held_out = list(zip(held_out, said, strict=True))
        guessed = lessons(loaded, held_out, None)
        self.floor = [float(lesson.log_p.mean()) for lesson in guessed]

    @property
    def abstains(self) -> float | None:
        """Share of foreign questions that the base abstains from with the whole document."""
        exact = [lesson.top_ids[:, 0].tolist() == row.answer for row, lesson in self.held_out]
        return abstains(self.held_out, exact)

    @property
    def elapsed(self) -> float:
        """Seconds of this document, those before an interruption included."""
        return time.perf_counter() - self.began

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1: by steps or by time, whichever is further."""
        steps, seconds = self.settings.steps, self.settings.seconds
        by_steps = 0.0 if steps is None else self.slots.step / steps if steps else 1.0
        return max(by_steps, 0.0 if seconds is None else self.elapsed / seconds)

    def train(self, state: State) -> Best:
        """Train until steps, time or patience are used up; return the best slots there were."""
        slots, every = self.slots, self.settings.every_steps
        with frozen(self.loaded.lm):
            if slots.before is None:
                slots.before = self._look()
            while self.share < 1 and slots.waited < self.settings.patience:
                self._step()
                self._tell()
                if slots.step % every == 0:
                    self._look()
                    slots.seconds = self.elapsed
                    state.save(slots)
            if slots.step % every:
                self._look()
                slots.seconds = self.elapsed
                state.save(slots)
        assert slots.best is not None
        return slots.best

    def _step(self) -> None:
        """Learn from some rows."""
        slots = self.slots
        pairs = self._drawn()
        warm = min(1.0, (slots.step + 1) / _WARM_UP)
        rate = self.settings.learning_rate * warm * max(_LEAST_RATE, 1 - self.share)
        loss = loss_of(self.loaded.lm, slots.layers(self.loaded.lm.base.dtype), pairs)
        if not bool(torch.isfinite(loss)):
            raise DivergedError(
                f"refine: the loss is {float(loss.detach())} at step {slots.step}; start again "
                f"with a lower learning_rate than {self.settings.learning_rate}"
            )
        slots.learn(loss, rate)

    def _drawn(self) -> list[Pair]:
        """Draw rows, by the step's number alone: all in order at first, later at random.

        The base is heard on a row when it first comes up, so that a short run hears few; and always
        with the same rows beside it, so that a run that was stopped hears the same to the last bit.
        """
        size, step = self.settings.rows_per_step, self.slots.step
        numbers = list(range(len(self.rows)))[step * size : (step + 1) * size]
        if len(numbers) < size:
            rng = random.Random(f"{self.settings.seed}/{step}")
            numbers = rng.sample(range(len(self.rows)), min(size, len(self.rows)))
        for number in numbers:
            if number not in self.said:
                block = range(len(self.rows))[number // size * size :][:size]
                rows = [self.rows[n] for n in block]
                said = lessons(self.loaded, rows, self.document)
                self.said |= dict(zip(block, said, strict=True))
        return [(self.rows[n], self.said[n]) for n in numbers]

    def _look(self) -> Score:
        """Score the held-out rows and keep the slots if they are the best so far."""
        layers = self.slots.layers(self.loaded.lm.base.dtype)
        found = score(self.loaded.lm, layers, self.held_out, self.floor)
        if not math.isfinite(found.loss):
            raise DivergedError(
                f"refine: the held-out loss is {found.loss} at step {self.slots.step}; use a lower "
                f"learning_rate than {self.settings.learning_rate}, or another compute type: "
                f"in {type_name(self.loaded.lm.base.dtype)} the model may overflow"
            )
        self.slots.judge(found)
        return found

    def _tell(self) -> None:
        slots, seconds = self.slots, self.settings.seconds
        best: Any = slots.best
        gap = "" if best.score.gap is None else f", {best.score.gap:.0%} of the gap to full context"
        now = f"refining, held-out loss {best.score.loss:.3f}{gap}"
        if self.settings.steps is not None:
            self.progress(slots.step, self.settings.steps, now)
        else:
            self.progress(round(min(self.elapsed, seconds or 0)), round(seconds or 0), now)
