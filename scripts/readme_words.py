"""What the generated parts of the READMEs say, in both languages; figures are put in later."""

from __future__ import annotations

import re
from typing import Any

SENTENCES = {
    "en": {
        "evaluation": "{documents:,} documents in {tasks} tasks, {gists:.0f} gists per document of "
        "up to {window:,} tokens. {cpu}, {cores} cores, commit `{commit}`. Gap recovered with its "
        "95% interval.",
        "base": "**{model}**, a base without gists: {documents} documents in {tasks} tasks. {cpu}, "
        "{cores} cores, commit `{commit}`.",
        "cannot": "Below {most:.0%} even with the whole document, so that scores say nothing "
        "about the other methods: {tasks}.",
        "failed": "{score} ({failed} failed)",
        "frames": "The same bases in the chat template of their tokenizer and in plain text: "
        "full context, no context in brackets. {cpu}, {cores} cores, commit `{commit}`.",
        "cost": "Documents of {tokens:,} tokens, the bundled model's shape, {dtype}, {cpu}, "
        "{cores} cores, commit `{commit}` (`dnsity bench`):",
        "shapes": "The same in another type of weights and on a real model's shape, random "
        "weights, by tokens of the document ({cpu}, {cores} cores; commits in `results/`):",
        "multiple": "{gists} gists, as a multiple of the other",
        "length": "{tokens:,} tokens",
        "batch": "{documents} different documents answered in one batch: {gist:,.0f} tokens a "
        "second, as many plain prompts {none:,.0f}. One of {files:,} gist files is opened and "
        "verified in {opened}.",
        "document": "**{name}**: {tokens:,} tokens -> {gists} gists ({ratio:.0f}x), keys and "
        "values {full:.1f} MB -> {kept:.0f} kB, compressed in {seconds:.2f} s",
        "right": "right: {answer} ({ms:.0f} ms)",
        "wrong": "wrong: {answer} ({ms:.0f} ms)",
        "nothing": "(nothing)",
        "run": "`{config}` in {minutes:.0f} minutes on {cores} cores: of passkeys in {documents} "
        "held-out documents of {least} and {most:,} tokens {gist:.0%} are right from {gists} "
        "gists, {full:.0%} from full context, {none:.0%} from nothing (the base answers "
        "untouched).",
        "step": "A training step on one document with {asked} questions: the bundled model's "
        "shape, {dtype}, everything trained, {cpu}, {cores} cores, commit `{commit}` (`dnsity "
        "bench`).",
        "card": "**Estimated, not measured**, for a card of {teraflops:.0f} teraflops (an RTX 4090 "
        "by its data sheet); no run on such a card has checked it:",
    },
    "ko": {
        "evaluation": "과제 {tasks}개, 문서 {documents:,}편. 최대 {window:,}토큰의 문서마다 요지 "
        "{gists:.0f}개. {cpu}, 코어 {cores}개, 커밋 `{commit}`. 격차 회복률은 95% 구간과 함께 "
        "적었습니다.",
        "base": "**{model}**, 요지가 없는 기반 모델: 과제 {tasks}개, 문서 {documents}편. {cpu}, "
        "코어 {cores}개, 커밋 `{commit}`.",
        "cannot": "다음 과제는 문서 전체를 주어도 점수가 {most:.0%}에 못 미치므로 다른 방법의 "
        "점수도 알려 주는 것이 없습니다: {tasks}.",
        "failed": "{score} (실패 {failed}편)",
        "frames": "같은 기반 모델에 토크나이저의 채팅 템플릿으로 물을 때와 일반 텍스트로 물을 때: "
        "전체 문맥, 괄호 안은 무문맥. {cpu}, 코어 {cores}개, 커밋 `{commit}`.",
        "cost": "{tokens:,}토큰 문서, 동봉 모델의 형태, {dtype}, {cpu}, 코어 {cores}개, 커밋 "
        "`{commit}` (`dnsity bench`):",
        "shapes": "다른 자료형, 그리고 실제 모델의 형태에 무작위 가중치로 잰 같은 비율, "
        "문서 토큰 수별 ({cpu}, 코어 {cores}개, 커밋은 `results/`에):",
        "multiple": "요지 {gists}개, 비교 대상의 몇 배인가",
        "length": "{tokens:,}토큰",
        "batch": "서로 다른 문서 {documents}편에 한꺼번에 답할 때 초당 {gist:,.0f}토큰, 같은 수의 "
        "일반 프롬프트는 초당 {none:,.0f}토큰입니다. 요지 파일 {files:,}개 가운데 하나를 열어 "
        "검증하는 데 {opened} 걸립니다.",
        "document": "**{name}**: {tokens:,}토큰 -> 요지 {gists}개({ratio:.0f}배), 키와 값 "
        "{full:.1f} MB -> {kept:.0f} kB, 압축 {seconds:.2f}초",
        "right": "정답: {answer} ({ms:.0f} ms)",
        "wrong": "오답: {answer} ({ms:.0f} ms)",
        "nothing": "(없음)",
        "run": "`{config}`, 코어 {cores}개에서 {minutes:.0f}분 학습: 따로 떼어 둔 {least}토큰과 "
        "{most:,}토큰 문서 {documents}편의 암호를 요지 {gists}개로 {gist:.0%}, 전체 문맥으로 "
        "{full:.0%}, 아무것도 없이 {none:.0%} 맞힙니다(답할 때 기반 모델은 원래 그대로입니다).",
        "step": "문서 하나와 질문 {asked}개로 하는 학습 한 단계: 동봉 모델의 형태, {dtype}, 모든 "
        "가중치 학습, {cpu}, 코어 {cores}개, 커밋 `{commit}` (`dnsity bench`).",
        "card": "**측정이 아니라 추정**입니다. {teraflops:.0f}테라플롭스 카드(제원표상 RTX 4090) "
        "기준이며, 그런 카드에서 확인한 적은 없습니다.",
    },
}
"""Sentences and cells that hold figures."""

CELLS = {
    "question": "질문",
    "gist": "요지",
    "full context": "전체 문맥",
    "RAG top-3": "RAG 상위 3",
    "no context": "무문맥",
    "task": "과제",
    "metric": "지표",
    "gist of the wrong document": "다른 문서의 요지",
    "untrained gist": "학습 전 요지",
    "RAG, equal KV": "RAG, 같은 KV",
    "dense RAG top-3": "임베딩 RAG 상위 3",
    "truncated": "앞뒤만",
    "lead, equal KV": "첫머리, 같은 KV",
    "summary, equal KV": "요약, 같은 KV",
    "refined": "문서별 미세 조정(refine)",
    "refined from keys": "키에서 시작한 미세 조정",
    "selected keys": "고른 키(select)",
    "stored full KV": "저장한 전체 KV",
    "documents": "문서",
    "questions": "질문",
    "random guess": "무작위",
    "gap recovered by the gist": "요지의 격차 회복률",
    "method": "방법",
    "prepare, once": "준비(한 번)",
    "stored": "저장 크기",
    "load": "불러오기",
    "warm TTFT": "첫 토큰(준비 후)",
    "tokens/s": "토큰/초",
    "memory to answer": "답할 때 메모리",
    "documents in 8 GB": "8 GB에 담기는 문서",
    "break-even": "손익분기 질문 수",
    "compressing / reading the document plainly": "압축 / 문서를 그냥 읽기",
    "its peak memory / that of reading": "그 최대 메모리 / 읽기의 최대 메모리",
    "first token, gists loaded from disk / no document at all": "첫 토큰, 디스크에서 불러온 요지 / "
    "문서 없음",
    "first token / RAG top-3": "첫 토큰 / RAG 상위 3",
    "first token / full context": "첫 토큰 / 전체 문맥",
    "keys and values / full context": "키와 값 / 전체 문맥",
    "none": "무문맥",
    "full": "전체 문맥",
    "stored full kv": "저장한 전체 KV",
    "rag": "RAG",
    "step": "방식",
    "document, tokens": "문서 토큰",
    "seconds": "초",
    "questions/s": "질문/초",
    "peak memory": "최대 메모리",
    "configuration": "설정",
    "steps": "단계",
    "estimated memory": "추정 메모리",
    "estimated hours": "추정 시간(시간)",
    "two passes: each document compressed once": "둘로 나누어: 문서마다 한 번 압축",
    "one masked sequence": "마스크를 씌운 시퀀스 하나",
    "one masked sequence per question": "질문마다 마스크를 씌운 시퀀스 하나",
    "language modelling of the document alone": "문서만으로 하는 언어 모델링",
    "25 gists": "요지 25개",
    "planned": "계획",
    "wanted": "목표",
    "measured, English / Korean": "측정, 영어 / 한국어",
    "document tokens per gist": "요지 하나당 문서 토큰",
    "one passkey in prose, 512 to 8,192 tokens": "산문 속 암호 하나, 512~8,192토큰",
    "the same, at the worst length": "같은 과제, 가장 낮은 길이",
    "the same in unseen words, 2,048 tokens": "같은 과제, 학습에 없던 표현, 2,048토큰",
    "one passkey in four windows, 32,768 tokens": "창 네 개에 걸친 문서의 암호 하나, 32,768토큰",
    "a fact in unseen words, 2,048 tokens": "학습에 없던 표현의 사실 하나, 2,048토큰",
    "a fact in unseen words, 8,192 tokens": "학습에 없던 표현의 사실 하나, 8,192토큰",
    "four numbers of alike owners, 2,048 tokens": "주인이 비슷한 번호 넷, 2,048토큰",
    "four numbers of alike owners, 8,192 tokens": "주인이 비슷한 번호 넷, 8,192토큰",
    "eight numbers of alike owners, 2,048 tokens": "주인이 비슷한 번호 여덟, 2,048토큰",
    "needles, from another document's gists": "다른 문서의 요지로 답한 바늘 과제",
    "whole documents: share of full context": "문서 전체에 관한 질문: 전체 문맥 대비",
    "whole documents: share of what it adds": "문서 전체에 관한 질문: 격차 회복률",
    "memory of an 8B model on a GPU": "GPU에서 8B 모델의 메모리",
    "not measured": "측정하지 못함",
}
"""Cells in Korean, by what they say in English."""

SETTINGS = {
    r"([\d.]+)x": r"\1배",
    r"([\d.]+) min": r"\1분",
    r"(\d+) steps": r"\1단계",
    r"(\d+) slots": r"슬롯 \1개",
    r"top (\d+)": r"상위 \1",
    r"chunks of (\d+) tokens": r"\1토큰 조각",
}
"""What a heading says of a method's settings, in Korean."""


class Words:
    """One language."""

    def __init__(self, language: str) -> None:
        """Choose `en` or `ko`."""
        self.language = language

    def say(self, key: str, /, **facts: Any) -> str:
        """Put figures into a sentence."""
        return SENTENCES[self.language][key].format(**facts)

    def cell(self, text: str) -> str:
        """Translate a cell; what has no other words stays as it is."""
        if self.language == "en":
            return text
        method, _, gists = text.partition(" ")
        if gists.isdigit():
            return f"{CELLS[method]} {gists}"
        known = max((name for name in CELLS if f"{text}, ".startswith(f"{name}, ")), default="")
        settings = text.removeprefix(known).removeprefix(", ")
        if not known or not settings:
            return CELLS.get(text, text)
        return ", ".join([CELLS[known], *map(_setting, settings.split(", "))])


def _setting(text: str) -> str:
    """Translate what a heading says of one setting."""
    for pattern, korean in SETTINGS.items():
        if re.fullmatch(pattern, text):
            return re.sub(pattern, korean, text)
    return text
