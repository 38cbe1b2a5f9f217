"""Prompts that make a model question a text, in five ways, and the reader of its replies.

The five follow Cartridges' self-study (arXiv 2506.06266), which found that a mix of tasks carries a
document over better than questions on facts alone.
"""

# ruff: noqa: RUF001

from __future__ import annotations

import json
import re
from typing import Any

from dnsity.data.example import Language

PROMPT_TYPES = ("factual", "structuring", "summary", "use_case", "multi_fact")

_TASKS: dict[Language, dict[str, str]] = {
    "en": {
        "factual": "Each asks for one detail of the text: a name, number, date, place or term. "
        "The answer is copied from the text and as short as possible.",
        "structuring": "Each asks to put information of the text in order: as a list, a table in "
        "one line or a JSON object. The answer is that structure, written in one line.",
        "summary": "Each asks to sum up one part of the text or all of it; say which. The answer "
        "is one to three sentences.",
        "use_case": "Each comes from somebody who wants to do something with the text: apply a "
        "rule of it to their case, decide, plan. The answer follows from the text alone.",
        "multi_fact": "Each can only be answered by joining two or more facts from different "
        "places in the text: comparing, counting, ordering. The answer is short.",
    },
    "ko": {
        "factual": "각 질문은 글에 나오는 이름, 수, 날짜, 장소, 용어 가운데 하나를 묻습니다. "
        "답은 글에서 그대로 옮기되 가능한 한 짧게 씁니다.",
        "structuring": "각 질문은 글에 흩어진 정보를 목록, 한 줄짜리 표 또는 JSON 객체로 정리해 "
        "달라고 요청합니다. 답은 정리한 결과를 한 줄로 씁니다.",
        "summary": "각 질문은 글 전체나 특정 부분을 요약해 달라고 요청하며, 어느 부분인지 "
        "밝힙니다. 답은 한 문장에서 세 문장으로 씁니다.",
        "use_case": "각 질문은 글의 내용을 실제로 쓰려는 사람이 묻는 것입니다. 글의 규칙을 자기 "
        "상황에 적용하거나, 결정하거나, 계획을 세웁니다. 답은 글에서만 끌어냅니다.",
        "multi_fact": "각 질문은 글의 서로 다른 곳에 있는 사실을 둘 이상 합쳐야만 답할 수 "
        "있습니다. 비교하거나, 세거나, 순서를 따집니다. 답은 짧게 씁니다.",
    },
}
_FRAMES: dict[Language, str] = {
    "en": "Read the text and write {count} questions about it with their answers, in English.\n"
    "{task}\n"
    "Every question must be understandable on its own, name what it asks about, and have exactly "
    "one right answer, which the text gives. Do not refer to 'the passage above'.\n"
    "Write one JSON object a line and nothing else:\n"
    '{{"question": "...", "answer": "..."}}\n\n'
    "{title}Text:\n{text}\n",
    "ko": "다음 글을 읽고 글에 대한 질문 {count}개와 답을 한국어로 작성하십시오.\n"
    "{task}\n"
    "모든 질문은 그것만 읽어도 무엇을 묻는지 알 수 있어야 하고, 정답은 글에서 확인되는 것 "
    "하나뿐이어야 합니다. ‘위 글’과 같은 표현은 쓰지 마십시오.\n"
    "한 줄에 JSON 객체를 하나씩 쓰고 다른 말은 쓰지 마십시오.\n"
    '{{"question": "...", "answer": "..."}}\n\n'
    "{title}글:\n{text}\n",
}
_TITLES: dict[Language, str] = {"en": "Title: {title}\n\n", "ko": "제목: {title}\n\n"}
_QUESTION_KEYS = ("question", "q", "질문", "문제")
_ANSWER_KEYS = ("answer", "a", "답", "답변", "정답")
_LABELLED = re.compile(
    r"^\W*(?:question|q|질문|문제)\W{0,3}\d*\W*[:.：]\W*(?P<q>[^\n]+)\n+"
    r"\W*(?:answer|a|답|답변|정답)\W{0,3}\d*\W*[:.：][ *]*(?P<a>[^\n]+)",
    re.IGNORECASE | re.MULTILINE,
)


def render_prompt(text: str, title: str, prompt_type: str, language: Language, count: int) -> str:
    """Write the prompt of one type for a text."""
    return _FRAMES[language].format(
        count=count,
        task=_TASKS[language][prompt_type],
        title=_TITLES[language].format(title=title) if title else "",
        text=text,
    )


def parse_reply(reply: str) -> list[tuple[str, str]]:
    """Find the questions and answers in a model's reply, however they are wrapped.

    JSON objects are looked for anywhere: one a line, in an array, in a code fence, between
    remarks. A reply without any is searched for "Question: ... Answer: ...".

    Returns:
        Pairs in order; none if the reply cannot be made out.
    """
    pairs = [pair for value in _objects(reply) for pair in _pairs(value)]
    if not pairs:
        pairs = [(m["q"].strip(" *"), m["a"].strip(" *")) for m in _LABELLED.finditer(reply)]
    return [(question, answer) for question, answer in pairs if question and answer]


def _objects(reply: str) -> list[Any]:
    """Every JSON object in a text; one that is cut off or malformed is passed over."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    at = reply.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(reply, at)
            found.append(value)
        except (json.JSONDecodeError, RecursionError):
            end = at + 1
        at = reply.find("{", end)
    return found


def _pairs(value: dict[str, Any]) -> list[tuple[str, str]]:
    """The question and answer of an object, or those of the objects inside it."""
    folded = {str(key).casefold(): inner for key, inner in value.items()}
    question = next((folded[key] for key in _QUESTION_KEYS if key in folded), None)
    answer = next((folded[key] for key in _ANSWER_KEYS if key in folded), None)
    if isinstance(question, str) and answer is not None:
        return [(question.strip(), _as_text(answer))]
    inside = [item for inner in value.values() if isinstance(inner, list) for item in inner]
    return [pair for item in inside if isinstance(item, dict) for pair in _pairs(item)]


def _as_text(answer: Any) -> str:
    """An answer as text; a structure that was asked for comes as one and stays JSON."""
    if isinstance(answer, str):
        return answer.strip()
    return json.dumps(answer, ensure_ascii=False)
