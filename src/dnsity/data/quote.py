"""Questions for a document's own words: what comes after a few given ones.

The text continuation of ICAE (Ge et al., 2307.06945) as a question. It teaches to copy any token,
where passkeys teach to copy digits only, and no document is too plain to be asked for.
"""

from __future__ import annotations

import random
import re

from dnsity.data.example import Language, Question

_CUE, _ANSWER = (2, 4), (2, 6)
"""Fewest and most words of cue and answer."""
_WORD = re.compile(r"\S+")
_QUESTIONS: dict[Language, tuple[str, ...]] = {
    "en": (
        'What comes after "{cue}"?',
        'How does the text go on after "{cue}"?',
        'Which words follow "{cue}"?',
    ),
    "ko": (
        '"{cue}" 다음에는 무슨 말이 나오나요?',
        '"{cue}" 뒤에 이어지는 말은 무엇입니까?',
        '글에서 "{cue}" 다음을 이어 주세요.',
    ),
}


def quotes(rng: random.Random, language: Language, text: str, count: int) -> tuple[Question, ...]:
    """Ask for up to `count` pieces of a text that do not overlap, each by the words before it.

    Args:
        rng: The only source of chance.
        language: Language of the questions.
        text: The document.
        count: Questions at the most; fewer if the text is short or its words repeat.

    Returns:
        Questions whose cue occurs once in the text and whose answer follows it verbatim.
    """
    words = list(_WORD.finditer(text))
    found: list[Question] = []
    at = rng.randint(0, max(0, len(words) - count * (_CUE[1] + _ANSWER[1])))
    while len(found) < count:
        middle = at + rng.randint(*_CUE)
        end = middle + rng.randint(*_ANSWER)
        if end > len(words):
            break
        cue = text[words[at].start() : words[middle - 1].end()]
        answer = text[words[middle].start() : words[end - 1].end()]
        if text.count(cue) == 1 and '"' not in cue and "\n" not in cue + answer:
            question = rng.choice(_QUESTIONS[language]).format(cue=cue)
            found.append(Question(question, answer, "quote"))
        at = end
    return tuple(found)
