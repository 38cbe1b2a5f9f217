"""Verdicts on all causal language models of transformers, checked with tiny random models.

Used by tests/unit/model/test_every_architecture.py, which checks the verdicts, and by
scripts/architectures.py, which writes the table of the guide.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from dnsity.errors import UnsupportedModelError
from dnsity.gist.layout import Layout
from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_model import GistModel
from dnsity.inference.methods import Select
from dnsity.model.architectures import judge
from dnsity.model.base import attention_kernel
from dnsity.model.gist_lm import GistLM
from dnsity.model.masked import run_masked
from dnsity.model.positions import require_shift_invariant
from support import compress_chunks, gap, layout_ids, parts
from tiny import DOCUMENT, QUESTIONS, tiny_tokenizer

KINDS = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
VOCAB, LAYERS, WINDOW = 401, 4, 16
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "intermediate_size": 48,
    "intermediate_size_mlp": 48,
    "ffn_dim": 48,
    "ffn_hidden_size": 48,
    "num_hidden_layers": LAYERS,
    "n_layer": LAYERS,
    "n_layers": LAYERS,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "max_seq_len": 512,
    "sliding_window": WINDOW,
    "attention_chunk_size": WINDOW,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "num_experts_per_token": 2,
    "moe_k": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "shared_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "initializer_range": 0.3,
    "num_shared_experts": 1,
    "n_shared_experts": 1,
    "depth": 2,
    "patch_size": 8,
    "image_size": 16,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "pretraining_tp": 1,
}
_PARTS = ("text_config", "vision_config", "audio_config", "ffn_config", "attn_config")


_AS_RELEASED: dict[str, dict[str, Any]] = {
    kind: {"layer_types": ["conv", "full_attention"] * 2, "num_hidden_layers": 4}
    for kind in ("lfm2", "lfm2_moe")
}
"""Fields of released models, where the default config differs from all of them."""
UNBUILT = {
    "gemma4_assistant": "transformers' default config cannot be made",
}
"""Model types that cannot be built, with the reason."""
ALLOWED = 1e-4


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one architecture.

    Attributes:
        kind: Model type.
        level: `supported`, `warned`, `refused` or `not tried`.
        reason: Reason of the verdict.
        gap: Difference of logits between two passes and the masked sequence, relative to the
            largest logit; None if the architecture is refused.
        select: Whether `--method select` works.
    """

    kind: str
    level: str
    reason: str
    gap: float | None = None
    select: bool = False


@cache
def outcome(kind: str) -> Outcome:
    """Judge an architecture by its default config; run a tiny model unless it is refused."""
    if kind in UNBUILT:
        return Outcome(kind, "not tried", UNBUILT[kind])
    verdict = judge(AutoConfig.for_model(kind, **_AS_RELEASED.get(kind, {})))
    reason = verdict.reason.partition(": ")[2]
    if verdict.level == "refused":
        return Outcome(kind, verdict.level, reason)
    config = _shrunk(AutoConfig.for_model(kind))
    base = _tiny_model(config)
    with torch.no_grad():
        require_shift_invariant(base)
        far = _from_the_masked_sequence(base)
    return Outcome(kind, verdict.level, reason, far, _selects(base))


def _from_the_masked_sequence(base: PreTrainedModel) -> float:
    """Return the difference of two passes from the masked sequence, for two questions."""
    lm = GistLM(base, GistSpec(gists=3, window_tokens=64, scope="full")).eval()
    layout = Layout((21,), 3, (5, 3))
    ids = layout_ids(layout)
    expected = parts(run_masked(lm, ids, layout), layout, "question")
    slots = compress_chunks(lm, parts(ids, layout, "document"))
    found = (lm.answer(slots, asked) for asked in parts(ids, layout, "question"))
    return max(gap(one, other) for one, other in zip(found, expected, strict=True))


def _selects(base: PreTrainedModel) -> bool:
    """Return whether `select` compresses a text, or refuses with a reason."""
    model = GistModel.from_base(base, tiny_tokenizer())
    try:
        slots = model.compress(DOCUMENT * 2, method=Select(gists=8))
    except UnsupportedModelError:
        return False
    model.ask(slots, QUESTIONS[0], Sampling(max_new_tokens=2))
    return True


def _shrunk(default: PreTrainedConfig) -> PreTrainedConfig:
    fields = {name: value for name, value in _SHAPE.items() if _has(default, name)}
    for part in _PARTS:
        inner = getattr(default, part, None)
        if isinstance(inner, PreTrainedConfig):
            fields[part] = _shrunk(inner).to_dict()
    config = type(default)(**fields)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, 0)
    return config


def _has(config: PreTrainedConfig, name: str) -> bool:
    fixed = getattr(type(config), name, None)
    if isinstance(fixed, property) and fixed.fset is None:
        return False
    return hasattr(config, name)


def _tiny_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Build a random model in fp32 and evaluation mode, with the kernel that dnsity uses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(
            config, attn_implementation=attention_kernel(config), dtype=torch.float32
        )
        with torch.no_grad():
            for weight in base.parameters():  # norms and biases start neutral
                if weight.ndim == 1:
                    weight.add_(0.2 * torch.randn_like(weight))
    base.generation_config = GenerationConfig(eos_token_id=0)
    return base.eval()


def table() -> str:
    """Write the page of the guide."""
    found = [outcome(kind) for kind in KINDS]
    counts = Counter(each.level for each in found)
    rows = [
        f"| `{each.kind}` | {each.level} | {_mark(each)} | {each.reason} |"
        for each in sorted(found, key=lambda each: (ORDER.index(each.level), each.kind))
    ]
    return _PAGE.format(
        total=len(found),
        rows="\n".join(rows),
        **{level.replace(" ", "_"): counts[level] for level in ORDER},
    )


def _mark(each: Outcome) -> str:
    return "" if each.gap is None else "yes" if each.select else "no"


ORDER = ("supported", "warned", "refused", "not tried")
_PAGE = """# Supported models

<!-- Written by scripts/architectures.py; do not edit. -->

The verdict on each of the {total} model types that transformers loads as causal language models,
by its default config: {supported} supported, {warned} warned (sliding windows), {refused} refused,
{not_tried} not tried. A model's own config decides when it is loaded: a released model may have
other layers or positions than the default. `dnsity doctor --model NAME` shows the verdict on it.

Every architecture that is not refused was built as a tiny model with random weights. The logits of
the two functions `compress` and `answer` equal those of one masked sequence (to 1e-4 of the
largest), and moving a document to other positions does not change them. `make test-all` repeats
this for every type, `make test` for some (`tests/unit/model/test_every_architecture.py`). `select`
says whether that method supports the type; where it does not, `gist` and `refine` work.

| model type | verdict | `select` | why |
|---|---|---|---|
{rows}
"""
