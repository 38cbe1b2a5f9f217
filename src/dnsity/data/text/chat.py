"""A tokenizer's chat template, split into the texts around a document and around an answer.

    <start>system ... <start>user  DOCUMENT  QUESTION  <end><start>assistant  ANSWER
    |----------- head -----------|                     |------- tail -------|

transformers renders the template with marks in place of the user's text; it is cut at the marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from dnsity.errors import UnsupportedModelError, first_line

SEPARATOR = "\n\n"
"""Between the document and what follows it in the user's turn."""
_DATE = {"%d": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24"}
_TODAY = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('{sign}', '{text}')" for sign, text in _DATE.items())
    + " }}{% endmacro %}{{ '' }}"
)
"""The date in templates that contain today's date (Llama 3's default): a gist must also match on
other days. Give the date in the system prompt if it matters."""

_DOCUMENT, _QUESTION, _ANSWER = "dnsity's document.", "dnsity's question %d?", "dnsity's answer %d."
Turn = tuple[str, str]
"""A question and its answer."""


@dataclass(frozen=True, slots=True)
class ChatTexts:
    """The texts of a chat template around what is inserted into it.

    Attributes:
        head: Before the document: start token, system prompt, header of the user's turn.
        tail: After the question: end of the user's turn, header of the assistant's.
        end: After the answer; its first control token ends the answer.
    """

    head: str
    tail: str
    end: str


def messages(
    document: str,
    turns: Sequence[Turn],
    question: str,
    *,
    system: str | None,
    instruction: str | None,
) -> list[dict[str, str]]:
    """Return the conversation of a prompt, as input of `apply_chat_template`.

    Args:
        document: Part of the first user turn; empty for none.
        turns: Earlier questions and answers.
        question: The question to be answered.
        system: System prompt (None: the template's default).
        instruction: Text between document and first question (None: none).
    """
    asked = [*(each for each, _ in turns), question]
    asked[0] = SEPARATOR.join(part for part in (document, instruction, asked[0]) if part)
    found = [] if system is None else [{"role": "system", "content": system}]
    for text, (_, answer) in zip(asked, turns, strict=False):
        found += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return [*found, {"role": "user", "content": asked[-1]}]


def apply(
    tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], **options: Any
) -> Any:
    """Apply the chat template; the date is fixed, and hybrid reasoning models answer directly.

    Raises:
        UnsupportedModelError: If there is no chat template, or it does not accept the conversation.
    """
    if not tokenizer.chat_template:
        raise UnsupportedModelError(
            f"{type(tokenizer).__name__} has no chat template; use frame 'plain'"
        )
    options = {"add_generation_prompt": True, "tokenize": False, **options}
    try:
        template = tokenizer.get_chat_template()
        if "strftime_now" in template:
            template = _TODAY + template
        return tokenizer.apply_chat_template(
            conversation, chat_template=template, enable_thinking=False, **options
        )
    except Exception as error:  # templates raise errors of any type
        roles = ", ".join(message["role"] for message in conversation)
        raise UnsupportedModelError(
            f"the chat template of this tokenizer does not take the turns {roles} "
            f"({first_line(error)}); use frame 'plain', or leave the system prompt out"
        ) from error


def texts(tokenizer: PreTrainedTokenizerBase, system: str | None = None) -> ChatTexts:
    """Split a chat template.

    Args:
        tokenizer: The tokenizer with the template.
        system: System prompt (None: the template's default).

    Raises:
        UnsupportedModelError: If there is no template, or it changes, repeats or omits a message.
    """
    question, answer = _QUESTION % 0, _ANSWER % 0
    asked = messages(_DOCUMENT, [], question, system=system, instruction=None)
    head, tail = _cut(apply(tokenizer, asked), [_DOCUMENT + SEPARATOR + question])
    answered = [*asked, {"role": "assistant", "content": answer}]
    rendered = apply(tokenizer, answered, add_generation_prompt=False)
    return ChatTexts(head, tail, rendered.partition(answer)[2])


def after_document(
    tokenizer: PreTrainedTokenizerBase, turns: int, *, system: str | None = None
) -> list[str]:
    """Return the template's texts after each message of a conversation of `turns` answered turns.

    Returns:
        `2 * turns + 1` texts: after the first question, after its answer, ...

    Raises:
        UnsupportedModelError: If the template does not accept several turns, or renders earlier
            turns differently when more follow.
    """
    earlier = [(_QUESTION % number, _ANSWER % number) for number in range(turns)]
    last = _QUESTION % turns
    conversation = messages(_DOCUMENT, earlier, last, system=system, instruction=None)
    marks = [mark for turn in earlier for mark in turn] + [last]
    marks[0] = _DOCUMENT + SEPARATOR + marks[0]
    head, *found = _cut(apply(tokenizer, conversation), marks)
    if head != texts(tokenizer, system).head:
        raise UnsupportedModelError(
            "the chat template of this tokenizer changes what precedes the document as the "
            "conversation grows; ask questions one at a time, or use frame 'plain'"
        )
    return found


def _cut(rendered: str, marks: Sequence[str]) -> list[str]:
    """Split at marks that must occur once each, in order."""
    found = []
    for mark in marks:
        before, _, rest = rendered.partition(mark)
        if rendered.count(mark) != 1:
            raise UnsupportedModelError(
                "the chat template of this tokenizer does not contain every message exactly once "
                f"and unchanged ({rendered.count(mark)} times); use frame 'plain'"
            )
        found.append(before)
        rendered = rest
    return [*found, rendered]
