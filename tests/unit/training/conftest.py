"""A small corpus on disk and a tiny base model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from support import tiny_base
from tiny import tiny_tokenizer

_WORDS = {
    "en": "the harbour is quiet and old boats rest near a long grey wall of stone".split(),
    "ko": "나루터 마을은 조용하고 오래된 배가 긴 돌담 곁에서 쉽니다 그리고 바람이 붑니다".split(),
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """JSONL files of made-up prose, per language."""
    folder = tmp_path_factory.mktemp("corpus")
    files = {}
    for language, words in _WORDS.items():
        rng = random.Random(language)
        path = folder / f"{language}.jsonl"
        with path.open("w", encoding="utf-8") as lines:
            for number in range(12):
                text = " ".join(
                    " ".join(rng.choices(words, k=8)).capitalize() + "." for _ in range(40)
                )
                record = {"id": f"{language}-{number}", "title": "x", "text": text}
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
        files[language] = [str(path)]
    return files


@pytest.fixture(scope="session")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random base model with its tokenizer, as transformers saves them."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = tiny_tokenizer()
    base = tiny_base("llama", vocab_size=len(tokenizer), initializer_range=0.05)
    base.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run_settings() -> dict[str, Any]:
    """Optimiser settings of a very short run."""
    return {
        "steps": 6,
        "tokens_per_step": 256,
        "learning_rate": 3e-3,
        "warmup_steps": 1,
        "bf16": False,
        "save_steps": 3,
        "log_steps": 1,
    }
