"""A tiny Llama in a GGUF file, written as llama.cpp's converter does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from support import tiny_base
from tiny import POSITIONS, tiny_tokenizer

TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}{% endfor %}"
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tiny_llama(seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build a base whose widths are multiples of a quantised block, and its tokenizer."""
    tokenizer = tiny_tokenizer()
    base = tiny_base(
        "llama",
        seed=seed,
        vocab_size=len(tokenizer),
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    return base, tokenizer


def write_gguf(
    path: Path, *, seed: int = 0, quantized: bool = True, architecture: str = "llama", **more: Any
) -> Path:
    """Write a tiny model; `more` are further metadata, with `__` for a dot."""
    base, tokenizer = tiny_llama(seed)
    text = base.config
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("tiny")
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_dimension_count(text.head_dim)
    writer.add_rope_freq_base(10000.0)
    _add_tokenizer(writer, tokenizer)
    for key, value in more.items():
        writer.add_string(key.replace("__", "."), value)
    for name, tensor in base.named_parameters():
        values = _as_stored(name, tensor, text).detach().numpy()
        stored = name.removesuffix(".weight").replace("model.layers.", "blk.")
        for ours, theirs in _NAMES.items():
            stored = stored.replace(ours, theirs)
        if quantized and values.ndim > 1:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{stored}.weight", gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{stored}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _as_stored(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Order the rows of queries and keys as llama.cpp rotates them: pairs are neighbours."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for part, count in heads.items():
        if part in name:
            rows = tensor.shape[0]
            halves = tensor.reshape(count, 2, rows // count // 2, *tensor.shape[1:])
            return halves.swapaxes(1, 2).reshape(tensor.shape).contiguous()
    return tensor


def _add_tokenizer(writer: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    added = tokenizer.get_added_vocab()
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in added else normal for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(TEMPLATE)
