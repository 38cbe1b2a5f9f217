"""A base from nothing: tokenizer and weights that transformers can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from dnsity.data.encode import TextEncoder
from dnsity.training.pretrain import PretrainConfig, pretrain


def test_pretrain_writes_a_loadable_base(
    tmp_path: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    config = PretrainConfig.model_validate(
        {
            "architecture": {
                "vocabulary": 400, "hidden": 16, "layers": 2, "heads": 2, "kv_heads": 1,
                "intermediate": 24, "positions": 256,
            },
            "tokenizer_characters": 10_000,
            "data": {"corpus": corpus, "corpus_characters": 20_000},
            "stages": [{"tokens": [32], "share": {"full": 1.0, "text": 1.0}}],
            "training": run_settings,
        }
    )  # fmt: skip
    pretrain(config, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert base.config.num_key_value_heads == 1
    encoder = TextEncoder(tokenizer)
    text = "The passkey is 907153. 비밀번호는 48213입니다."
    ids = encoder.encode(text)
    pieces = [tokenizer.decode([i]) for i in ids]
    assert "".join(piece for piece in pieces if piece.isdigit()) == "90715348213"
    assert all(len(piece) == 1 for piece in pieces if any(map(str.isdigit, piece)))
    assert encoder.decode(ids) == text
