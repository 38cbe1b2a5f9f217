"""Two small documents with questions, as a batch, and a tiny model to ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dnsity.data.batch import QuestionBatch, collate
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Question
from dnsity.data.text.frame import Plain
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from support import tiny_base
from tiny import tiny_tokenizer

ENCODER = TextEncoder(tiny_tokenizer())
TEMPLATE = "\n\nQ: {question}\nA:"
EXAMPLES = [
    Example(
        "The harbour office opens at nine. The passkey is 60479. " * 2,
        (
            Question("What is the passkey?", "60479", "passkey"),
            Question("When does the office open?", "at nine", "fact"),
            Question("Passkey, please?", "60479", "passkey"),
        ),
        "en",
        "a",
    ),
    Example(
        "나루터 안내소는 열 시에 문을 엽니다. " * 2,
        (Question("몇 시에?", "열", "fact"),),
        "ko",
        "b",
    ),
]


def small_lm(family: str = "qwen3-tied", seed: int = 0, **spec: Any) -> GistLM:
    fields = {"gists": 4, "window_tokens": 256, "scope": "full", **spec}
    return GistLM(tiny_base(family, seed=seed, vocab_size=410), GistSpec(**fields)).eval()


def asked_batch(examples: list[Example] | None = None, **fields: Any) -> QuestionBatch:
    return replace(collate(examples or EXAMPLES, Plain(ENCODER, TEMPLATE)), **fields)
