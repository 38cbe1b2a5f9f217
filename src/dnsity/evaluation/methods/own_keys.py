"""Methods that need no trained gists: some of the document's own keys, and slots trained for it."""

from __future__ import annotations

from typing import ClassVar, Literal

from dnsity.evaluation.methods.gist import Compressed
from dnsity.inference import methods
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.methods.refine import Refine
from dnsity.inference.methods.select import Select


class Selected(Compressed):
    """The document's own keys that get attention while it is repeated."""

    name = "select"
    heading = "selected keys"
    by_default = False  # refuses what does not fit the window

    def how(self) -> methods.Method:
        """Keep one in `method.ratio` tokens."""
        return Select(ratio=self.settings.ratio, even=self.settings.even)


class Refined(Compressed):
    """Slots trained for this document, from the model's gists where it has some."""

    name = "refine"
    heading = "refined"
    by_default = False  # likewise, and takes minutes
    start: ClassVar[Literal["auto", "gist", "select"]] = "auto"

    def how(self) -> methods.Method:
        """Train for `method.minutes`, or `method.steps`."""
        return Refine(
            gists=self.settings.gists,
            minutes=self.settings.minutes,
            steps=self.settings.steps,
            start=self.start,
        )

    def note(self, cache: GistCache) -> str:
        """Say how it went, with what became of questions that the document does not answer."""
        measured = [f"{name}_{when}" for name in ("loss", "foreign", "abstains")
                    for when in ("before", "after")]  # fmt: skip
        told = ("start", "steps", *measured, "abstains_full")
        return ", ".join(f"{name} {cache.info.settings[name]}" for name in told)


class RefinedFromKeys(Refined):
    """The same from kept keys: what is the amortised gist worth as a start?"""

    name = "refine_from_keys"
    heading = "refined from keys"
    start = "select"
