"""Sentences and table cells of the generated tables, in both languages; figures are filled in."""

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
        "cannot": "Below {most:.0%} even with the whole document, so these scores do not compare "
        "the other methods: {tasks}.",
        "failed": "{score} ({failed} failed)",
        "frames": "The same bases prompted with the chat template of their tokenizer and with "
        "plain text: full context, no context in brackets. {cpu}, {cores} cores, commit "
        "`{commit}`.",
        "cost": "A document of {tokens:,} tokens, the shape of `mini`, {dtype}, {cpu}, {cores} "
        "cores, commit `{commit}` (`dnsity bench`):",
        "costs": "A document of {tokens:,} tokens, the shape of `mini`, {dtype}, {cpu}, {cores} "
        "cores, commit `{commit}`; TTFT is the time to the first token of an answer:",
        "results": "Score from 25 gists and from its controls, English / Korean, {cpu}, {cores} "
        "cores, commits `{commit}` and `{far}` (32,768 tokens):",
        "untrained": "{model} without gist training, {documents} documents of 1,000 tokens with "
        "one named passkey each: full context {full}, `select` at {ratio}x {select}.",
        "shapes": "The same ratios in bfloat16 and on the shapes of real models with random "
        "weights, by document length ({cpu}, {cores} cores; commits in `results/`):",
        "multiple": "ratio, {gists} gists",
        "length": "{tokens:,} tokens",
        "batch": "A batch of {documents} different gists decodes {gist:,.0f} tokens per second, a "
        "batch of as many prompts without a document {none:,.0f}. Opening and verifying one of "
        "{files:,} gist files takes {opened}.",
        "document": "**{name}**: {tokens:,} tokens -> {gists} gists ({ratio:.0f}x), KV cache "
        "{full:.1f} MB -> {kept:.0f} kB, compressed in {seconds:.2f} s",
        "right": "right: {answer} ({ms:.0f} ms)",
        "wrong": "wrong: {answer} ({ms:.0f} ms)",
        "nothing": "(nothing)",
        "run": "`{config}` trains for {minutes:.0f} minutes on {cores} cores. Then {gist:.0%} of "
        "the passkeys in {documents} held-out documents of {least} and {most:,} tokens are right "
        "from {gists} gists, {full:.0%} from full context and {none:.0%} without context (the base "
        "itself is not changed).",
        "step": "A training step on one document with {asked} questions: the shape of `mini`, "
        "{dtype}, all weights trained, {cpu}, {cores} cores, commit `{commit}` (`dnsity bench`).",
        "card": "**Estimated, not measured**, for a GPU of {teraflops:.0f} teraflops (an RTX 4090 "
        "according to its data sheet). No run on such a GPU has checked the estimate:",
    },
    "ko": {
        "evaluation": "과제 {tasks}개, 문서 {documents:,}편. 최대 {window:,}토큰의 문서마다 요지 "
        "{gists:.0f}개. {cpu}, 코어 {cores}개, 커밋 `{commit}`. 격차 회복률은 95% 구간과 함께 "
        "적었습니다.",
        "base": "**{model}**, 요지가 없는 기반 모델: 과제 {tasks}개, 문서 {documents}편. {cpu}, "
        "코어 {cores}개, 커밋 `{commit}`.",
        "cannot": "다음 과제는 문서 전체를 주어도 점수가 {most:.0%}에 못 미치므로 다른 방법을 "
        "비교하는 데 쓸 수 없습니다: {tasks}.",
        "failed": "{score} (실패 {failed}편)",
        "frames": "같은 기반 모델에 토크나이저의 채팅 템플릿으로 물을 때와 일반 텍스트로 물을 때: "
        "전체 문맥, 괄호 안은 무문맥. {cpu}, 코어 {cores}개, 커밋 `{commit}`.",
        "cost": "{tokens:,}토큰 문서, `mini`의 형태, {dtype}, {cpu}, 코어 {cores}개, 커밋 "
        "`{commit}` (`dnsity bench`):",
        "costs": "{tokens:,}토큰 문서, `mini`의 형태, {dtype}, {cpu}, 코어 {cores}개, 커밋 "
        "`{commit}`:",
        "results": "요지 25개의 점수와 대조군, 영어 / 한국어, {cpu}, 코어 {cores}개, 커밋 "
        "`{commit}`, 32,768토큰은 `{far}`:",
        "untrained": "요지를 학습하지 않은 {model}, 이름이 붙은 암호를 하나씩 숨긴 1,000토큰 문서 "
        "{documents}편: 전체 문맥 {full}, `select` {ratio}배 압축 {select}.",
        "shapes": "bfloat16, 그리고 실제 모델의 형태(무작위 가중치)에서 잰 같은 비율, 문서 길이별 "
        "({cpu}, 코어 {cores}개, 커밋은 `results/`에):",
        "multiple": "비율, 요지 {gists}개",
        "length": "{tokens:,}토큰",
        "batch": "서로 다른 요지 {documents}개를 한 배치로 처리하면 초당 {gist:,.0f}토큰, "
        "문서 없는 프롬프트를 같은 수만큼 처리하면 초당 {none:,.0f}토큰을 생성합니다. 요지 파일 "
        "{files:,}개 가운데 하나를 열어 검증하는 데 {opened} 걸립니다.",
        "document": "**{name}**: {tokens:,}토큰 -> 요지 {gists}개({ratio:.0f}배), KV 캐시 "
        "{full:.1f} MB -> {kept:.0f} kB, 압축 {seconds:.2f}초",
        "right": "정답: {answer} ({ms:.0f} ms)",
        "wrong": "오답: {answer} ({ms:.0f} ms)",
        "nothing": "(없음)",
        "run": "`{config}`, 코어 {cores}개에서 {minutes:.0f}분 학습: 따로 떼어 둔 {least}토큰과 "
        "{most:,}토큰 문서 {documents}편의 암호를 요지 {gists}개로 {gist:.0%}, 전체 문맥으로 "
        "{full:.0%}, 문서 없이 {none:.0%} 맞힙니다(기반 모델의 가중치는 바뀌지 않습니다).",
        "step": "문서 하나와 질문 {asked}개로 하는 학습 한 단계: `mini`의 형태, {dtype}, 모든 "
        "가중치 학습, {cpu}, 코어 {cores}개, 커밋 `{commit}` (`dnsity bench`).",
        "card": "**측정이 아니라 추정**입니다. {teraflops:.0f}테라플롭스 GPU(제원표상 RTX 4090) "
        "기준이며, 그런 GPU에서 확인한 적은 없습니다.",
    },
}
"""Sentences with figures, by language."""

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
    "prepare (once)": "준비(한 번)",
    "stored": "저장 크기",
    "load": "불러오기",
    "warm TTFT": "첫 토큰까지(준비 후)",
    "tokens/s": "토큰/초",
    "memory to answer": "답할 때 메모리",
    "documents in 8 GB": "8 GB에 담기는 문서",
    "break-even": "손익분기 질문 수",
    "compression time / prefill time": "압축 시간 / 프리필 시간",
    "its peak memory / peak memory of prefill": "압축 최대 메모리 / 프리필 최대 메모리",
    "TTFT, gists loaded from disk / TTFT without a document": "첫 토큰까지, 디스크에서 불러온 "
    "요지 / 문서 없음",
    "TTFT / TTFT of RAG top-3": "첫 토큰까지 / RAG 상위 3",
    "TTFT / TTFT of full context": "첫 토큰까지 / 전체 문맥",
    "KV cache / KV cache of full context": "KV 캐시 / 전체 문맥의 KV 캐시",
    "none": "무문맥",
    "full": "전체 문맥",
    "stored full kv": "저장한 전체 KV",
    "rag": "RAG",
    "step": "방식",
    "document tokens": "문서 토큰",
    "seconds": "초",
    "questions/s": "질문/초",
    "peak memory": "최대 메모리",
    "configuration": "설정",
    "steps": "단계",
    "estimated memory": "추정 메모리",
    "estimated hours": "추정 시간(시간)",
    "two segments: each document compressed once": "두 구간: 문서마다 한 번 압축",
    "one masked sequence": "마스크를 씌운 시퀀스 하나",
    "one masked sequence per question": "질문마다 마스크를 씌운 시퀀스 하나",
    "language modelling of the document alone": "문서만으로 하는 언어 모델링",
    "25 gists": "요지 25개",
    "planned": "계획",
    "target": "목표",
    "measured, English / Korean": "측정, 영어 / 한국어",
    "document tokens per gist": "요지 하나당 문서 토큰",
    "one passkey in prose, 512 to 8,192 tokens": "산문 속 암호 하나, 512~8,192토큰",
    "the same, worst length": "같은 과제, 가장 낮은 길이",
    "the same in unseen wording, 2,048 tokens": "같은 과제, 학습에 없던 표현, 2,048토큰",
    "one passkey in four windows, 32,768 tokens": "창 네 개에 걸친 문서의 암호 하나, 32,768토큰",
    "a fact in unseen wording, 2,048 tokens": "학습에 없던 표현의 사실 하나, 2,048토큰",
    "a fact in unseen wording, 8,192 tokens": "학습에 없던 표현의 사실 하나, 8,192토큰",
    "four codes with similar owners, 2,048 tokens": "이름이 비슷한 대상의 번호 넷, 2,048토큰",
    "four codes with similar owners, 8,192 tokens": "이름이 비슷한 대상의 번호 넷, 8,192토큰",
    "eight codes with similar owners, 2,048 tokens": "이름이 비슷한 대상의 번호 여덟, 2,048토큰",
    "needles, gists of another document": "바늘 과제, 다른 문서의 요지",
    "articles: score / score of full context": "글 전체에 관한 질문: 전체 문맥 대비 점수",
    "articles: gap recovered": "글 전체에 관한 질문: 격차 회복률",
    "memory of an 8B model on a GPU": "GPU에서 8B 모델의 메모리",
    "not measured": "측정하지 못함",
    "25 gists, document length": "요지 25개, 문서 길이",
    "one passkey, 512 to 8,192 tokens": "암호 하나, 512~8,192토큰",
    "one passkey, 32,768 tokens": "암호 하나, 32,768토큰",
    "a fact in unseen wording": "학습에 없던 표현의 사실 하나",
    "four codes with similar owners": "이름이 비슷한 대상의 번호 넷",
    "eight codes with similar owners": "이름이 비슷한 대상의 번호 여덟",
    "questions on passages (F1)": "지문에 관한 질문(F1)",
    "questions on articles (choice, chance 33%)": "글에 관한 선다형 질문(무작위 33%)",
}
"""Korean text of a cell, by its English text."""

SETTINGS = {
    r"([\d.]+)x": r"\1배",
    r"([\d.]+) min": r"\1분",
    r"(\d+) steps": r"\1단계",
    r"(\d+) slots": r"슬롯 \1개",
    r"top (\d+)": r"상위 \1",
    r"chunks of (\d+) tokens": r"\1토큰 조각",
}
"""Korean text of a method's settings, by the pattern of the English text."""


class Words:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        """Select the language, `en` or `ko`."""
        self.language = language

    def say(self, key: str, /, **facts: Any) -> str:
        """Fill figures into a sentence."""
        return SENTENCES[self.language][key].format(**facts)

    def cell(self, text: str) -> str:
        """Translate a cell; a cell without a translation is returned unchanged."""
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
    """Translate one setting of a method."""
    for pattern, korean in SETTINGS.items():
        if re.fullmatch(pattern, text):
            return re.sub(pattern, korean, text)
    return text


def provenance(result: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a sentence that say where a result was measured."""
    manifest = result["manifest"]
    return {
        "cpu": manifest["hardware"]["cpu"] or "CPU",
        "cores": manifest["hardware"]["cores"],
        "commit": manifest["commit"][:10],
        "dtype": manifest["config"].get("dtype"),
    }
