"""Temporary changes of a gist model: adapter on or off, other gist rows, frozen weights.

The adapter acts on these parts of a prompt:

    scope       document   gists   answer
    gist            .        x        .
    document        x        x        .
    both            x        x        x
    full        no adapter: all weights are trained
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock, local
from typing import Any, Literal

from torch import Tensor, nn
from transformers import PreTrainedModel

from dnsity.gist.spec import Scope
from dnsity.model import backbone

Part = Literal["document", "gist", "answer"]

_ACTS_ON: dict[Scope, tuple[Part, ...]] = {
    "gist": ("gist",),
    "document": ("document", "gist"),
    "both": ("document", "gist", "answer"),
}


class Switches:
    """Contexts that change a model temporarily; several threads may use them at once.

    Args:
        base: The causal LM, with its adapter.
        scope: Parts of a prompt that the adapter acts on.
    """

    def __init__(self, base: PreTrainedModel, scope: Scope) -> None:
        """Store the model; nothing is changed yet."""
        self.base, self.scope = base, scope
        self.lock = RLock()
        self._thread = local()
        self._frozen: list[nn.Parameter] = []
        self._freezing = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Switches:
        """Return switches with their own lock, for a copy of the model."""
        return Switches(copy.deepcopy(self.base, memo), self.scope)

    @contextmanager
    def acting_on(self, part: Part) -> Iterator[None]:
        """Turn the adapter on or off for one part of a prompt, as the scope says.

        All threads share the adapter, so it is locked: a compression that starts while another
        thread generates waits until the answer is complete.
        """
        if self.scope == "full":
            yield
            return
        with self.lock:
            if part in _ACTS_ON[self.scope]:
                yield
            else:
                with self.adapter_off():
                    yield

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """Turn the adapter off, in any scope."""
        if self.scope == "full":
            yield
            return
        with self.lock, backbone.adapter_off(self.base):
            yield

    @property
    def gist_rows(self) -> Tensor | None:
        """The rows that replace the trained ones in this thread; None if there are none."""
        rows: Tensor | None = getattr(self._thread, "rows", None)
        return rows

    @contextmanager
    def with_gist_rows(self, rows: Tensor) -> Iterator[None]:
        """Make this thread compress with other gist rows."""
        before = self.gist_rows
        self._thread.rows = rows
        try:
            yield
        finally:
            self._thread.rows = before

    @contextmanager
    def frozen(self, weights: Iterable[nn.Parameter]) -> Iterator[None]:
        """Set `requires_grad` of weights to False until the last thread leaves the context."""
        with self.lock:
            self._freezing += 1
        try:
            with self.lock:
                trained = [weight for weight in weights if weight.requires_grad]
                self._frozen += trained
                for weight in trained:
                    weight.requires_grad_(False)
            yield
        finally:
            with self.lock:
                self._freezing -= 1
                if not self._freezing:
                    for weight in self._frozen:
                        weight.requires_grad_(True)
                    self._frozen = []
