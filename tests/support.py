"""Tiny random models, small batches of tokens, and comparisons of tensors.

Every model is built in memory from a config, without hub or files, in a few milliseconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.lfm2 import Lfm2Config, Lfm2ForCausalLM
from transformers.models.llama import LlamaConfig
from transformers.models.mistral import MistralConfig
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config

from dnsity.gist.layout import Layout
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import concatenate
from dnsity.shapes import KeyValues, PaddingMask, TokenIds

FAMILIES = ("llama", "qwen2", "qwen3-untied", "qwen3-tied", "mistral", "gemma3")
SLIDING = ("gemma3", "mistral-sliding")
"""Families with sliding attention: in some layers, and in all of them."""
ATTENTIONS = ("eager", "sdpa")
PLACEMENTS = ("append", "spread")

VOCAB = 101
LAYERS = 3
WINDOW = 16
"""Sliding window of the tiny models that have one: short enough for small documents to pass it."""

TOLERANCE = 1e-5
"""Largest allowed difference of two fp32 computations of the same numbers, relative to the largest.

Different shapes mean a different order of summation. Measured over all families, both attention
kernels and all tests that use it: at most 2.4e-6 for logits, keys and values and 3.7e-6 for
gradients, so 1e-5 leaves room for other BLAS kernels. One other document token, or a position off
by one, moves these models' logits by 0.1 and more.
"""

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    # Logits of a few units and attention far from uniform, so that a wrong mask shows.
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def tiny_config(family: str, **overrides: Any) -> PreTrainedConfig:
    """Build the config of a tiny model; `overrides` are further config fields."""
    shape = {**_SHAPE, **overrides}
    if family == "llama":
        return LlamaConfig(**shape)
    if family == "qwen2":
        shape.pop("head_dim")  # always hidden / heads in this family
        return Qwen2Config(**shape)
    if family in ("qwen3-untied", "qwen3-tied"):
        return Qwen3Config(tie_word_embeddings=family == "qwen3-tied", **shape)
    if family == "mistral":
        return MistralConfig(**{"sliding_window": None, **shape})
    if family == "mistral-sliding":
        return MistralConfig(**{"sliding_window": WINDOW, **shape})
    if family == "gemma3":
        kinds = ["sliding_attention", "full_attention", "sliding_attention"]
        # Untied, unlike the real one: with its scaled embeddings a random tied model only repeats
        # its last token, whatever the context.
        fields = {"tie_word_embeddings": False, "query_pre_attn_scalar": 8, "layer_types": kinds}
        return Gemma3TextConfig(**{"sliding_window": WINDOW, **fields, **shape})
    raise ValueError(f"no tiny model for {family!r}, only {FAMILIES + SLIDING}")


def tiny_base(
    family: str, attention: str = "sdpa", seed: int = 0, **overrides: Any
) -> PreTrainedModel:
    """Build a tiny random causal LM in memory: fp32, evaluation mode, same seed same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_config(
            tiny_config(family, **overrides), attn_implementation=attention, dtype=torch.float32
        )
        with torch.no_grad():
            # Norms and biases start neutral; a pass that skipped one would go unnoticed.
            for weight in base.parameters():
                if weight.ndim == 1:
                    weight.add_(0.2 * torch.randn_like(weight))
    return base.eval()


def tiny_gist_lm(
    family: str, attention: str = "sdpa", *, lora: Any | None = None, **spec: Any
) -> GistLM:
    """Build a gist model on a tiny base, of scope full unless `spec` says otherwise."""
    fields = {"gists": 4, "window_tokens": 64, "scope": "full", **spec}
    return GistLM(tiny_base(family, attention), GistSpec(**fields), lora=lora).eval()


def tiny_lora_lm(
    family: str,
    scope: str,
    attention: str = "sdpa",
    targets: str | list[str] = "all-linear",
    **spec: Any,
) -> GistLM:
    """Build a gist model whose LoRA adapter has a noticeable effect."""
    from peft import LoraConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = tiny_gist_lm(
            family,
            attention,
            scope=scope,
            lora=LoraConfig(r=4, target_modules=targets, lora_dropout=0.0),
            **spec,
        )
        # One factor starts at zero, which would make adapter on and off the same.
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name or "lora_embedding_A" in name:
                    weight.copy_(0.1 * torch.randn_like(weight))
    return model


def random_ids(rows: int, tokens: int, seed: int = 0) -> TokenIds:
    """Sample token ids; the special ids 0, 1 and 2 do not occur."""
    generator = torch.Generator().manual_seed(1000 * seed + tokens)
    return torch.randint(3, VOCAB, (rows, tokens), generator=generator)


def tiny_hybrid() -> PreTrainedModel:
    """Build a random LFM2, whose convolutions pass tokens on regardless of the attention mask."""
    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=101,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv"],
        initializer_range=0.3,
    )
    base: PreTrainedModel = Lfm2ForCausalLM._from_config(config, attn_implementation="sdpa")
    return base.eval()


def layout_ids(layout: Layout, rows: int = 1, seed: int = 0) -> TokenIds:
    """Sample ids for a whole layout; `run_masked` ignores those at gist slots."""
    return random_ids(rows, layout.segments()[-1].stop, seed)


def parts(ids: Tensor, layout: Layout, kind: str) -> list[Tensor]:
    """Cut the segments of one kind out of a tensor `[B, T, ...]` in the layout's token order."""
    return [ids[:, s.start : s.stop] for s in layout.segments() if s.kind == kind]


def compress_chunks(
    model: GistLM, chunks: Sequence[TokenIds], gists: int | None = None
) -> KeyValues:
    """Compress chunk by chunk, each at the offset of its gists, and join the gists."""
    count = model.spec.gists if gists is None else gists
    joined: KeyValues | None = None
    for number, chunk in enumerate(chunks):
        earlier = joined if model.spec.chunking == "carry" else None
        new = model.compress(chunk, gists=gists, offset=number * count, prefix=earlier)
        joined = new if joined is None else concatenate(joined, new)
    assert joined is not None
    return joined


def left_pad(rows: Sequence[TokenIds]) -> tuple[TokenIds, PaddingMask]:
    """Stack single rows `[1, T]` of different lengths into a left-padded batch and its mask."""
    longest = max(row.shape[1] for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, longest - row.shape[1] :] = row[0]
        mask[number, longest - row.shape[1] :] = True
    return ids, mask


def row_of(keys_values: KeyValues, row: int, skip: int = 0) -> KeyValues:
    """Take one batch row, without its first `skip` slots."""
    return tuple((k[row : row + 1, :, skip:], v[row : row + 1, :, skip:]) for k, v in keys_values)


def flat(keys_values: KeyValues) -> list[Tensor]:
    """List the tensors: keys and values of layer 0, of layer 1, ..."""
    return list(itertools.chain.from_iterable(keys_values))


def gap(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest expected number; NaN is infinite."""
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    difference = (actual - expected).abs().max() / expected.abs().max()
    return float(difference.nan_to_num(nan=torch.inf))


def assert_same(
    actual: Tensor, expected: Tensor, what: str = "tensors", allowed: float = TOLERANCE
) -> None:
    """Fail unless both are the same up to the order of summation, see `TOLERANCE`."""
    found = gap(actual, expected)
    assert found <= allowed, f"{what} differ by {found:.1e} of their scale, allowed {allowed}"


def assert_same_keys(actual: KeyValues, expected: KeyValues) -> None:
    """Fail unless keys and values are the same in every layer."""
    for number, (one, other) in enumerate(zip(flat(actual), flat(expected), strict=True)):
        assert_same(one, other, f"{('keys', 'values')[number % 2]} of layer {number // 2}")


def gradients_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Collect all gradients by name, except for parameters without one."""
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Fail unless every gradient is the same up to `TOLERANCE` times the model's largest one.

    Not relative to the largest of each tensor, because some gradients are zero except for rounding,
    such as those of key biases, which softmax ignores.
    """
    assert actual.keys() == expected.keys()
    scale = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        share = (actual[name] - gradient).abs().max() / scale
        difference = float(share.nan_to_num(nan=torch.inf))
        assert difference <= TOLERANCE, f"gradient of {name} differs by {difference:.1e}"
