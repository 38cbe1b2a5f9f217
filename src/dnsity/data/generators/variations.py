"""Variations of sentences and questions: what may precede and follow them in training.

A model that is trained on the plain templates alone learns the templates: asked "Please state the
PIN" it may answer as if there were no question (docs/log.md). Only training data is varied, so
evaluation asks in the plain templates.

    sentence    By the way, the PIN of Halden Museum is 40917. Please keep it in mind.
                ^^^^^^^^^^^ before                           ^^^^^^^^^^^^^^^^^^^^^^^^^ after
    question    What is the PIN of Halden Museum?
                        ^^^^^^^^^^^^^^^^^^^^^^^^^ what is asked for, so also:
                I am looking for the PIN of Halden Museum.               asking
                According to the text, what is the PIN of Halden Museum?  around
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_PLAIN = 0.4
"""Share of sentences and of questions that are not varied."""
_NO_MARK = 0.1
"""Share of varied questions that lose their question mark, as typed questions often do."""
_SHORTENED, _DROPPED = 0.2, 0.25
"""Share of varied questions that lose words, and share of their words that are dropped; a model
trained on them finds names and attributes without a complete sentence."""
_NAMES = re.compile(r"[{I](?![a-z])")
"""Start of a template whose first letter stays upper case: a field, or the word I."""


@dataclass(frozen=True, slots=True)
class Variations:
    """What one language adds to templates of sentences and questions.

    Attributes:
        before: Beginnings of sentences. After a comma or a word the sentence continues in lower
            case.
        after: Complete sentences that follow.
        around: Texts around the question `{q}`, which is in lower case after a comma or a word.
        named: Matches a question; its first group is the name of what is asked for.
        asking: Questions and requests for that name, `{p}`.
    """

    before: Sequence[str]
    after: Sequence[str]
    around: Sequence[str]
    named: re.Pattern[str]
    asking: Sequence[str]

    def sentence(self, rng: random.Random, template: str) -> str:
        """Vary the template of a sentence, or return it unchanged."""
        if rng.random() < _PLAIN:
            return template
        before, after = rng.choice(self.before), rng.choice(self.after)
        where = rng.randrange(3)  # before, after, or both
        front = "" if where == 1 else before
        return _joined(front, template) + ("" if where == 0 else f" {after}")

    def question(self, rng: random.Random, template: str) -> str:
        """Vary the template of a question, or return it unchanged."""
        if rng.random() < _PLAIN:
            return template
        named = self.named.fullmatch(template)
        if named and rng.random() < 0.5:
            varied = rng.choice(self.asking).replace("{p}", named[1])
        else:
            front, back = rng.choice(self.around).split("{q}")
            varied = _joined(front, template) + back
        if rng.random() < _SHORTENED:
            varied = " ".join(w for w in varied.split() if "{" in w or rng.random() > _DROPPED)
        return varied.rstrip("?") if rng.random() < _NO_MARK else varied


def _joined(front: str, template: str) -> str:
    """Prepend a beginning; the template continues in lower case except after a full stop."""
    continues = front.rstrip()[-1:] not in ("", ".", ":", "!", "?")
    if continues and not _NAMES.match(template):
        template = template[:1].lower() + template[1:]
    return front + template
