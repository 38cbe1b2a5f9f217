"""Method `refine`: train the slots of one document on any base model; minutes.

    start       the model's own gists, or keys and values chosen by `select` if it has none
    examples    made from the document; the teacher is the base conditioned on the document
    train       slots ──▶ frozen base ──▶ the same predictions; the slots that are best on held-out
                examples and questions are kept, or the start if none are better

The result is a cartridge (2506.06266) that starts from an amortised gist, if there is one. Answers
that quote the document are learned by cross-entropy as well as from the teacher; see `examples`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from dnsity.config import Seed
from dnsity.gist.layout import cut
from dnsity.inference.check import ROOM, Probe, held_out_probes, parts_with_probes
from dnsity.inference.gist_cache import Check, GistCache, GistInfo, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.chunks import chunk_spans, join_chunks, slots_per_chunk
from dnsity.inference.methods.compressor import Compressor, Phrases, Report
from dnsity.inference.methods.document import cache_of, encode, require_smaller
from dnsity.inference.methods.gist import Gist
from dnsity.inference.methods.refine.examples import make_examples
from dnsity.inference.methods.refine.plan import Plan, measure, plan, require_time
from dnsity.inference.methods.refine.slots import Slots
from dnsity.inference.methods.refine.state import State, identity
from dnsity.inference.methods.refine.training import Run, merge_reports
from dnsity.inference.methods.select import select_key_values
from dnsity.shapes import KeyValues

MINUTES = 2.0
"""Time limit if neither minutes nor steps are given."""


class Refine(Compressor):
    """Slots trained for this document; they start from the model's gists if it has any."""

    name = "refine"
    heading = "refined"
    cost = "minutes"
    advice = "use more --minutes or more --gists"
    phrases: ClassVar[Phrases] = {
        "minutes": "{:g} min".format,
        "steps": "{} steps".format,
        "gists": "{} slots".format,
    }

    minutes: float | None = Field(
        default=None,
        gt=0,
        description="Time limit for everything (default: 2 if `steps` is not given either).",
    )
    steps: int | None = Field(default=None, ge=0, description="Maximum number of training steps.")
    gists: int | None = Field(
        default=None, ge=1, description="Slots per window of the model (default: its gists)."
    )
    start: Literal["auto", "gist", "select"] = Field(
        default="auto",
        description="Initial slots: gist, select, or auto (gist if the model has that many trained "
        "gists, else select).",
    )
    rows: int = Field(
        default=256, ge=16, description="Maximum number of training examples on the document."
    )
    rows_per_step: int = Field(
        default=16,
        ge=1,
        description="Maximum number of examples per step. With `minutes`, this and `rows` shrink "
        "with the measured speed, so that preparation takes about a third of the time.",
    )
    learning_rate: float = Field(
        default=0.1, gt=0, description="Step size relative to the size of a layer's keys or values."
    )
    every_steps: int = Field(
        default=20,
        ge=1,
        description="Maximum number of steps between evaluations on held-out examples, after each "
        "of which the state is saved.",
    )
    patience: int = Field(
        default=8,
        ge=1,
        description="Evaluations without an improvement of 1/1000 after which training stops.",
    )
    seed: Seed = Field(default=0, description="Random seed.")
    state: Path | None = Field(
        default=None,
        exclude=True,
        description="State file from which an interrupted run resumes; to be removed once the gist "
        "is saved (`inference.methods.remove_state_files`).",
    )

    @property
    def seconds(self) -> float | None:
        """Time limit in seconds; None: only `steps` limits the run."""
        if self.minutes is None and self.steps is not None:
            return None
        return 60 * (self.minutes or MINUTES)

    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents one by one.

        Args:
            loaded: Model and tokenizer; its weights do not change.
            texts: Documents.
            progress: Called with seconds (or steps) done and in total, and with the number of
                held-out questions answered right.

        Raises:
            BadInputError: If a document is empty, not valid Unicode, has no more tokens than slots
                or does not fit the model's window; or the state is of another run.
            DamagedFileError: If the state file is damaged.
            DivergedError: If the loss is not finite.
            UnsupportedModelError: If it starts from `select` and the model's keys cannot be moved.
        """
        return [self._compress(loaded, text, progress) for text in texts]

    def is_current(self, loaded: LoadedModel, info: GistInfo) -> bool:
        """Return whether a gist of this method and model was made with these settings."""
        # For `start` and `steps` a file stores what was done, not what was requested.
        requested = self.model_dump(mode="json", exclude={"start", "steps"})
        return requested.items() <= info.settings.items()

    @classmethod
    def report(cls, settings: Mapping[str, Any]) -> Report:
        """Return how many held-out questions are answered right before and after training."""
        steps, asked = settings["steps"], settings["questions"]
        if asked:
            summary = (
                f"refined in {steps} steps: right answers {settings['right_before']} -> "
                f"{settings['right_after']} of {asked} held-out questions "
                f"(full context {settings['right_full']})"
            )
        else:
            summary = f"refined in {steps} steps; no question could be held out"
        warning = ""
        if settings["kept_start"]:
            why = (
                "refining improved no held-out answer" if steps else "no step fitted into the time"
            )
            warning = f"{why}, so its start ({settings['start']}) is saved"
        measured = [f"{name}_{when}" for name in ("loss", "foreign", "abstains")
                    for when in ("before", "after")]  # fmt: skip
        noted = ("start", "steps", *measured, "abstains_full")
        return Report(summary, warning, ", ".join(f"{name} {settings[name]}" for name in noted))

    def _compress(self, loaded: LoadedModel, text: str, progress: Progress) -> GistCache:
        ids = encode(loaded, text)
        spans, each = cut(len(ids), loaded.lm.spec, self.gists)
        slots = len(spans) * each
        require_smaller(loaded, len(ids), slots, self.gists or loaded.lm.spec.gists)
        chunks = chunk_spans(loaded, len(ids), ROOM)
        if len(chunks) == 1:
            layers, settings, check = self._refined(loaded, text, ids, slots, progress)
            settings = {**self.model_dump(mode="json"), **settings}
            made = cache_of(loaded, text, len(ids), layers, method=self.name, settings=settings)
            return made.checked(check)
        also = [probe for _, probes in parts_with_probes(loaded, text) for probe in probes]
        results = []
        for number, (start, stop) in enumerate(chunks):
            chunk = ids[start:stop]
            own = self._for_chunk(number, len(chunks))
            results.append(own._refined(
                loaded, loaded.encoder.decode(chunk), chunk, slots_per_chunk(slots, chunks)[number],
                _progress_of_chunk(progress, number, len(chunks)), also=also, chunks=len(chunks),
            ))  # fmt: skip
        settings = {
            **self.model_dump(mode="json"),
            **merge_reports([settings for _, settings, _ in results]),
        }
        layers = join_chunks(loaded, [layers for layers, _, _ in results])
        return cache_of(
            loaded, text, len(ids), layers, chunks=len(chunks), method=self.name, settings=settings
        )

    def _for_chunk(self, number: int, chunks: int) -> Refine:
        """Return the settings of one chunk, with its share of the time and of the steps."""
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
        """Train the slots of a text that fits the model's window.

        Args:
            loaded: Model and tokenizer.
            text: A document, or a chunk of one.
            ids: Its token ids.
            slots: Number of slots.
            progress: See `compress`.
            also: Further questions that are held out.
            chunks: Chunks of the document, each of which takes as long.
        """
        run, state = self._prepared(loaded, text, ids, slots, progress, also, chunks)
        best, trained = run.train(state), run.slots
        settings = {
            "start": trained.start,
            "steps": trained.step,
            "seconds": round(run.elapsed, 1),
            "plan": asdict(run.plan),
            "questions": len(run.probes),
            "right_full": sum(trained.full),
            "kept_start": best.is_start and (trained.step > 0 or self.seconds is not None),
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
        """Prepare the training: plan, start, examples and held-out questions."""
        began = time.perf_counter()
        requested = self.model_dump(mode="json", exclude={"minutes", "steps"})
        state = State(self.state, identity(ids, loaded.fingerprints, requested))
        trained = state.load(loaded.device)
        head = len(loaded.frame.head)
        speed = None
        if self.seconds is not None and trained is None:
            self._show_progress("measuring the model's speed", began, progress)
            speed = measure(loaded, ids)
            repeated = self._start_method(loaded) == "select"
            require_time(speed, len(ids) + head, self.seconds, repeated=repeated, chunks=chunks)
        self._show_progress("reading the document", began, progress)
        reading = time.perf_counter()
        with loaded.lm.without_adapter():
            document = loaded.read(ids)
        if speed is not None:
            speed = replace(speed, each=max(speed.each, (time.perf_counter() - reading) / len(ids)))
        if trained is None:
            self._show_progress("making the start", began, progress)
            start, layers = self._initial_slots(loaded, text, ids, slots, document)
            # Without a head, the first of real keys is the attention sink: changing it damages
            # all answers.
            sink = int(start == "select" and not head)
            trained = Slots(loaded.after_head(layers), frozen=head + sink, start=start, head=head)
            trained.plan = self._unlimited_plan()
            if speed is not None and self.seconds is not None:
                spent = time.perf_counter() - began
                chat = loaded.frame.name == "chat"
                trained.plan = plan(speed, spent, self.seconds, trained.plan, chat=chat)
        planned = trained.plan or self._unlimited_plan()
        self._show_progress("preparing questions", began, progress)
        probes = held_out_probes(loaded, text)
        examples = make_examples(
            loaded, text, ids, count=planned.rows, seed=self.seed, written=planned.written,
            sampled=planned.sampled, held_out=[*probes, *also],
        )  # fmt: skip
        run = Run(
            self, planned, loaded, trained, examples, probes, document, began - trained.seconds,
            progress,
        )  # fmt: skip
        return run, state

    def _unlimited_plan(self) -> Plan:
        """Return the requested amounts of work, which a run without time limit does."""
        few = max(1, self.rows // 16)
        return Plan(self.rows, self.rows // 8, few, self.rows_per_step, self.every_steps)

    def _show_progress(self, what: str, began: float, progress: Progress) -> None:
        """Report what is being prepared, if progress counts seconds."""
        if self.seconds is not None and self.steps is None:
            progress(round(time.perf_counter() - began), round(self.seconds), what)

    def _start_method(self, loaded: LoadedModel) -> Literal["gist", "select"]:
        """Return the method that makes the initial slots."""
        enough = loaded.trained and (self.gists or 1) <= loaded.lm.spec.gists
        if self.start == "gist" or (self.start == "auto" and enough):
            return "gist"
        return "select"

    def _initial_slots(
        self, loaded: LoadedModel, text: str, ids: list[int], slots: int, document: KeyValues
    ) -> tuple[str, KeyValues]:
        """Return the method that made the initial slots, and the slots."""
        if self._start_method(loaded) == "gist":
            return "gist", Gist(gists=self.gists).compress(loaded, [text])[0].layers
        # With an adapter, `select` needs the document's keys and values computed with it.
        known = loaded.after_head(document) if loaded.lm.peft_model is None else None
        return "select", select_key_values(loaded, ids, slots, document=known)


def _progress_of_chunk(progress: Progress, number: int, chunks: int) -> Progress:
    """Return a callback that reports one chunk's progress as that of the whole document."""

    def report(done: int, total: int | None, now: str = "") -> None:
        whole = None if total is None else total * chunks
        progress(done + number * (total or 0), whole, f"chunk {number + 1} of {chunks}: {now}")

    return report
