"""Variety for training: what may stand before and behind a sentence, and around a question.

A model that learns from the bare wordings alone learns the wordings: asked "Please state the PIN"
it may answer as if nothing had been asked (docs/log.md). Only what is drawn for training is
dressed, so evaluation asks as it always did.

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
"""Share of sentences and of questions that stay as they are."""
_NO_MARK = 0.1
"""Share of dressed questions that lose their question mark, as typed ones do."""
_WORN, _LOST = 0.2, 0.25
"""Share of dressed questions that lose words, and of their words that are lost: who learns from
them looks for names and attributes and not for a whole frame."""
_NAMES = re.compile(r"[{I](?![a-z])")
"""How a template begins whose first letter is not to be lowered: a field, or the word I."""


@dataclass(frozen=True, slots=True)
class Dress:
    """What one language puts around templates of sentences and questions.

    Attributes:
        before: Beginnings of sentences. After a comma or a word the sentence goes on in lower case.
        after: Whole sentences to follow.
        around: Frames with the question as `{q}`, in lower case where it follows a comma or a word.
        named: Finds in a question what it asks for by name, as its first group.
        asking: Frames with that name as `{p}`.
    """

    before: Sequence[str]
    after: Sequence[str]
    around: Sequence[str]
    named: re.Pattern[str]
    asking: Sequence[str]

    def sentence(self, rng: random.Random, template: str) -> str:
        """Dress a template of a sentence, or leave it."""
        if rng.random() < _PLAIN:
            return template
        before, after = rng.choice(self.before), rng.choice(self.after)
        where = rng.randrange(3)  # before, after, or both
        front = "" if where == 1 else before
        return _joined(front, template) + ("" if where == 0 else f" {after}")

    def question(self, rng: random.Random, template: str) -> str:
        """Dress a template of a question, or leave it."""
        if rng.random() < _PLAIN:
            return template
        named = self.named.fullmatch(template)
        if named and rng.random() < 0.5:
            dressed = rng.choice(self.asking).replace("{p}", named[1])
        else:
            front, back = rng.choice(self.around).split("{q}")
            dressed = _joined(front, template) + back
        if rng.random() < _WORN:
            dressed = " ".join(w for w in dressed.split() if "{" in w or rng.random() > _LOST)
        return dressed.rstrip("?") if rng.random() < _NO_MARK else dressed


def _joined(front: str, template: str) -> str:
    """Put a beginning before a template, which goes on in lower case but after a full stop."""
    goes_on = front.rstrip()[-1:] not in ("", ".", ":", "!", "?")
    if goes_on and not _NAMES.match(template):
        template = template[:1].lower() + template[1:]
    return front + template


ENGLISH = Dress(
    before=(
        "By the way, ",
        "For the record, ",
        "Note that ",
        "As agreed at the last meeting, ",
        "According to the caretaker, ",
        "According to the latest notice, ",
        "It was decided that ",
        "Everyone should know that ",
        "The notice board says that ",
        "We were told that ",
        "A reminder: ",
        "Update: ",
        "From now on, ",
        "As of this month, ",
        "One more thing: ",
        "It should be said that ",
        "In case you wonder, ",
        "As the letter explains, ",
    ),
    after=(
        "Please keep it in mind.",
        "This holds until further notice.",
        "That has not changed since.",
        "Nobody objected.",
        "This was confirmed on Friday.",
        "It is printed on the back of the leaflet as well.",
        "So the minutes say.",
        "Make a note of it.",
        "That is all there is to it.",
        "Older leaflets may say otherwise.",
    ),
    around=(
        "According to the text, {q}",
        "According to the document, {q}",
        "In the text above, {q}",
        "Based on the document, {q}",
        "Question: {q}",
        "Please answer: {q}",
        "Quick question: {q}",
        "I would like to know: {q}",
        "Could you help me? {q}",
        "Hello! {q}",
        "Sorry, {q}",
        "{q} Answer briefly.",
        "{q} Please answer from the text.",
        "{q} Give only the answer.",
        "{q} Thank you.",
    ),
    named=re.compile(r"What is (the (?!name ).*)\?"),
    asking=(
        "{p}?",
        "{p}, please.",
        "What's {p}?",
        "I am looking for {p}.",
        "I need to know {p}.",
        "Find {p}.",
        "Please find {p}.",
        "Please provide {p}.",
        "Please look up {p}.",
        "Please give {p} from the document.",
        "Show me {p}.",
        "Could you give me {p}?",
        "Could you remind me of {p}?",
        "May I have {p}?",
        "Do you have {p}?",
        "What does the document say about {p}?",
        "Write {p}.",
        "What would be {p}?",
    ),
)

KOREAN = Dress(
    before=(
        "참고로 ",
        "알림: ",
        "공지에 따르면 ",
        "지난 회의에서 정한 대로 ",
        "다시 말씀드리지만 ",
        "올해부터 ",
        "안내문에는 이렇게 적혀 있다. ",
        "잊지 마세요. ",
        "한 가지 덧붙이면, ",
        "관리실에 따르면 ",
        "이달부터 ",
        "모두에게 알립니다. ",
    ),
    after=(
        "착오 없으시기 바랍니다.",
        "당분간 그대로 유지됩니다.",
        "금요일에 다시 확인되었다.",
        "그 뒤로 달라진 것은 없다.",
        "안내지 뒷면에도 적혀 있다.",
        "반대한 사람은 없었다.",
        "메모해 두시기 바랍니다.",
        "회의록에도 그렇게 남아 있다.",
    ),
    around=(
        "문서에 따르면 {q}",
        "글에 따르면 {q}",
        "혹시 {q}",
        "질문: {q}",
        "실례지만 {q}",
        "궁금한 것이 있습니다. {q}",
        "글을 보고 답해 주세요. {q}",
        "안녕하세요. {q}",
        "{q} 짧게 답해 주세요.",
        "{q} 답만 적어 주세요.",
        "{q} 문서에서 찾아 주세요.",
        "{q} 감사합니다.",
    ),
    named=re.compile(r"((?!\{e\}\{은는\}).+)\{은는\} (?:무엇|몇|언제|어디|누구|얼마).*\?"),
    asking=(
        "{p}?",
        "{p}{을를} 찾아 주세요.",
        "{p} 좀 알려 줄래요?",
        "{p}{이가} 어떻게 되나요?",
        "{p}{을를} 알고 싶어요.",
        "{p}{을를} 답하세요.",
        "{p} 부탁드립니다.",
        "{p}{을를} 문서에서 찾아 적으세요.",
        "{p}{은는} 어떻게 됩니까?",
        "{p}{을를} 적어 주세요.",
    ),
)
