"""A base trained from scratch: tokenizer and weights that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from dnsity.data.encode import TextEncoder
from dnsity.training.pretrain import (
    Architecture,
    PretrainConfig,
    mimetic_init,
    new_base,
    pretrain,
)


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


@pytest.mark.parametrize(("kv_heads", "width"), [(1, 8), (2, 8), (4, 8), (4, 16), (2, 32)])
def test_attention_starts_by_copying_what_is_alike(kv_heads: int, width: int) -> None:
    """A head's output is a multiple of the token it attends to, where keys and values span it."""
    base = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
            num_attention_heads=4, num_key_value_heads=kv_heads, head_dim=width,
        )
    )  # fmt: skip
    mimetic_init(base)
    attention = base.model.layers[0].self_attn
    value, output = attention.v_proj.weight, attention.o_proj.weight
    heads = value.view(kv_heads, width, 32).repeat_interleave(4 // kv_heads, dim=0).flatten(0, 1)
    spanned = torch.linalg.pinv(value) @ value  # projects onto the span of keys and values
    torch.testing.assert_close(output @ heads, spanned / 4, atol=1e-5, rtol=0)  # float32 rounding
    query = attention.q_proj.weight.view(kv_heads, -1, width, 32)
    key = attention.k_proj.weight.view(kv_heads, 1, width, 32).expand_as(query)
    alike = torch.nn.functional.cosine_similarity(query.flatten(), key.flatten(), dim=0)
    assert alike > 0.9


def test_a_new_base_starts_with_copying_attention() -> None:
    shape = Architecture(vocabulary=300, hidden=32, layers=2, heads=4, kv_heads=4)
    for layer in new_base(shape, 0).model.layers:
        product = layer.self_attn.o_proj.weight @ layer.self_attn.v_proj.weight
        torch.testing.assert_close(product, torch.eye(32) / 4, atol=1e-5, rtol=0)


def test_records_that_no_stage_would_use_are_refused(
    corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    values = {
        "architecture": {"hidden": 16, "layers": 2, "heads": 2, "kv_heads": 1},
        "data": {"corpus": corpus, "records": ["own.jsonl"]},
        "stages": [{"tokens": [32], "share": {"full": 1.0}}],
        "training": run_settings,
    }
    with pytest.raises(ValueError, match=r"data\.records would not be used"):
        PretrainConfig.model_validate(values)
