"""Five types of prompts that make a model write questions, and the parser of its replies.

They follow the self-study of Cartridges (arXiv 2506.06266), where a mix of tasks trains better
than questions on facts alone.
"""

# ruff: noqa: RUF001

from __future__ import annotations

import json
import re
from typing import Any

from dnsity.data.example import Language
from dnsity.data.generators.languages import LANGUAGES

PROMPT_TYPES = ("factual", "structuring", "summary", "use_case", "multi_fact")

_QUESTION_KEYS = ("question", "q", "질문", "문제")
_ANSWER_KEYS = ("answer", "a", "답", "답변", "정답")
_LABELLED = re.compile(
    r"^\W*(?:question|q|질문|문제)\W{0,3}\d*\W*[:.：]\W*(?P<q>[^\n]+)\n+"
    r"\W*(?:answer|a|답|답변|정답)\W{0,3}\d*\W*[:.：][ *]*(?P<a>[^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)


def render_prompt(text: str, title: str, prompt_type: str, language: Language, count: int) -> str:
    """Write the prompt of one type for a text."""
    prompts = LANGUAGES[language].self_study
    return prompts.frame.format(
        count=count,
        task=prompts.tasks[prompt_type],
        title=prompts.title.format(title=title) if title else "",
        text=text,
    )


def parse_reply(reply: str) -> list[tuple[str, str]]:
    """Find the questions and answers in a model's reply of any format.

    JSON objects may be anywhere: one a line, in an array, in a code fence or between remarks. A
    reply without any is searched for "Question: ... Answer: ...".

    Returns:
        Pairs in order, without those that are empty or not valid Unicode; none if the reply cannot
        be parsed.
    """
    pairs = [pair for value in _objects(reply) for pair in _pairs(value)]
    if not pairs:
        pairs = [(m["q"].strip(" *"), m["a"].strip(" *")) for m in _LABELLED.finditer(reply)]
    return [pair for pair in pairs if all(pair) and _is_unicode("".join(pair))]


def _is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogate, such as half of an emoji at its end."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _objects(reply: str) -> list[Any]:
    """Return every complete JSON object in a text."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    at = reply.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(reply, at)
            found.append(value)
        except (ValueError, RecursionError):  # ValueError: also a number of too many digits
            end = at + 1
        at = reply.find("{", end)
    return found


def _pairs(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the question and answer of an object, or those of objects inside it."""
    folded = {str(key).casefold(): inner for key, inner in value.items()}
    question = next((folded[key] for key in _QUESTION_KEYS if key in folded), None)
    answer = next((folded[key] for key in _ANSWER_KEYS if key in folded), None)
    if isinstance(question, str) and answer is not None:
        return [(question.strip(), _as_text(answer))]
    inside = [item for inner in value.values() if isinstance(inner, list) for item in inner]
    return [pair for item in inside if isinstance(item, dict) for pair in _pairs(item)]


def _as_text(answer: Any) -> str:
    """Return an answer as text; an answer that is a JSON structure stays JSON."""
    if isinstance(answer, str):
        return answer.strip()
    return json.dumps(answer, ensure_ascii=False)
