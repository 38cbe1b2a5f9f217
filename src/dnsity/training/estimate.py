"""What a run would take, said before it starts: parameters, memory, time. No weights are read.

The model is built on torch's meta device from the base's config alone, so parameters are counted
exactly. Memory and time are rules of thumb over the tokens that a step sends through the base:

    memory   weights + 12 bytes per trainable parameter (gradient, AdamW) + what the backward pass
             needs of the largest micro-batch + logits of its answers
    time     FLOPs / (speed of a matrix product, measured now, x what a step reaches of it)
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from dnsity.gist.layout import cut
from dnsity.inference.hardware import bfloat16_is_fast
from dnsity.io.units import GB, MB, hours_and_minutes, millions
from dnsity.model import backbone, checkpoint
from dnsity.model.base import base_config
from dnsity.model.gist_lm import GistLM
from dnsity.training.batches import QUESTION_TOKENS, documents_of
from dnsity.training.curriculum import Mode, Stage
from dnsity.training.train_gist import TrainConfig, lora_of

FLOAT = 4
NF4 = 0.5 + 1 / 64
"""Bytes per weight in NF4: half a byte, and a scale of one byte per 64 weights."""
OPTIMISER = 12
"""Bytes per trainable parameter: gradient and AdamW's two moments, in float32."""
ANSWER_TOKENS = 8
REACHED, ATTENTION_REACHED = 0.3, 0.15
"""Share of a matrix product's speed that a step's matrix products and attention reach."""
HEAP = 3.5
"""What a CPU's allocator holds for each byte of live tensors in a long run of changing lengths."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        trainable_parameters: Exact.
        frozen_parameters: Exact.
        steps: Optimiser steps.
        step_tokens: Document tokens of a step: fewest and most.
        memory_bytes: Peak, by what it is for.
        seconds: Of the whole run, on one process.
    """

    trainable_parameters: int
    frozen_parameters: int
    steps: int
    step_tokens: tuple[int, int]
    memory_bytes: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        return {**asdict(self), "peak_bytes": sum(self.memory_bytes.values())}


def skeleton(config: TrainConfig) -> GistLM:
    """Build the model of a run on the meta device: shapes without numbers.

    Raises:
        BadInputError: If there is no such base, or scope and adapter do not fit it.
        UnsupportedModelError: If the base cannot hold gists.
    """
    name = checkpoint.base_of(config.base)
    if (Path(name) / checkpoint.CONFIG_FILE).exists():
        name = checkpoint.base_under(Path(name), checkpoint.read_config(Path(name)))
    described = base_config(name)
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(
            described, attn_implementation="sdpa", dtype=getattr(torch, config.dtype)
        )
        return GistLM(base, config.gist, lora=lora_of(config))


@dataclass(frozen=True, slots=True)
class _Work:
    """What one document of a step sends through the base.

    Attributes:
        trained: Tokens whose activations the backward pass needs.
        silent: Tokens that run without a graph; their keys and values are kept.
        answers: Tokens that get logits.
        trained_pairs: Pairs of tokens, one seeing the other, that attention goes back through.
        silent_pairs: The same without a graph.
    """

    trained: float
    silent: float
    answers: float
    trained_pairs: float
    silent_pairs: float = 0


def estimate(config: TrainConfig, gpu_teraflops: float | None = None) -> Estimate:
    """Work out what a run takes on this machine; its speed is measured for a fifth of a second.

    On two CPU cores real runs took half to twice as long (docs/log.md); beside other work the same
    run was estimated at 3.5 and 9.4 hours. On a GPU it is untried. Data, probes and libraries come
    on top.

    Args:
        config: The run.
        gpu_teraflops: Work it out for a GPU of this bfloat16 speed instead, by its data sheet.

    Raises:
        BadInputError: As `skeleton`.
    """
    lm = skeleton(config)
    settings = config.training
    text = lm.base.config.get_text_config()
    layers, hidden, vocab = backbone.num_layers(lm.base), text.hidden_size, text.vocab_size
    linear = [
        module.weight
        for name, module in backbone.body(lm.base).named_modules()
        if isinstance(module, nn.Linear) and "lora_" not in name
    ]
    heads = int(text.num_attention_heads)
    dim = int(getattr(text, "head_dim", None) or hidden // heads)
    keys = dim * int(getattr(text, "num_key_value_heads", None) or heads)
    draws = [
        (share / len(stage.tokens) * stage.share[mode] / sum(stage.share.values()), stage, mode, n)
        for share, stage in _shares(config.stages, settings.steps)
        for mode in stage.share
        for n in stage.tokens
    ]
    on_gpu = gpu_teraflops is not None or torch.cuda.is_available()
    fast = gpu_teraflops is not None or bfloat16_is_fast()
    bf16 = fast if settings.bf16 is None else settings.bf16
    width = 2 if bf16 or config.dtype == "bfloat16" else FLOAT
    # Of a trained token: forward 2, gradients of activations 2, of weights 2 FLOPs per weight.
    per_weight = (6 if config.gist.scope == "full" else 4) + 2 * settings.checkpointing
    flops, memory = 0.0, {"activations": 0.0, "logits": 0.0}
    for share, stage, mode, length in draws:
        documents = documents_of(settings, length)
        work = _work(config, stage, mode, length)
        products = (per_weight * work.trained + 2 * work.silent) * sum(w.numel() for w in linear)
        head = 6 * work.answers * hidden * vocab
        # Attention's backward pass costs 2.5 times its forward pass.
        attention = 4 * (3.5 * work.trained_pairs + work.silent_pairs) * dim * heads * layers
        flops += share * documents * ((products + head) / REACHED + attention / ATTENTION_REACHED)
        # A layer keeps what goes into its norms and matrices and comes out of them.
        inner = sum(w.shape[0] + w.shape[1] / 2 for w in linear) / layers
        layer = FLOAT * 6 * hidden + width * inner
        kept = layers * FLOAT * hidden + layer if settings.checkpointing else layers * layer
        rows = math.ceil(documents / settings.accumulation)
        held = work.trained * kept + work.silent * (2 * keys * layers * width + layer)
        memory["activations"] = max(memory["activations"], rows * held)
        memory["logits"] = max(memory["logits"], rows * work.answers * vocab * 4 * FLOAT)
    parameters = list(lm.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters) - trainable
    weights = float(sum(p.numel() * p.element_size() for p in parameters))
    if config.quantization is not None:
        weights -= sum(w.numel() * (w.element_size() - NF4) for w in linear if not w.requires_grad)
    heap = 1 if on_gpu else HEAP
    if gpu_teraflops is None:
        speed = _speed(hidden, torch.bfloat16 if width == 2 else torch.float32)
    else:
        speed = gpu_teraflops * 1e12
    sizes = [documents_of(settings, length) * length for _, _, _, length in draws]
    return Estimate(
        trainable,
        frozen,
        settings.steps,
        (min(sizes), max(sizes)),
        {
            "weights": round(weights),
            "optimiser": OPTIMISER * trainable,
            **{name: round(heap * size) for name, size in memory.items()},
        },
        settings.steps * flops / speed,
    )


def _shares(stages: list[Stage], steps: int) -> list[tuple[float, Stage]]:
    """Spread steps evenly over the stages that are reached: when accuracy ends one is not known."""
    reached = stages
    for number, stage in enumerate(stages):
        if stage.advance_at is None and stage.most_steps is None:
            reached = stages[: number + 1]
            break
    left, shares = float(steps), []
    for number, stage in enumerate(reached):
        fair = left / (len(reached) - number)
        taken = min(left if stage.advance_at is None else fair, stage.most_steps or left)
        taken = left if number + 1 == len(reached) else taken
        left -= taken
        shares.append((taken / steps, stage))
    return shares


def _work(config: TrainConfig, stage: Stage, mode: Mode, length: int) -> _Work:
    """Count the tokens that one document sends through the base."""
    if mode in ("text", "repeat"):
        prose = length * (2 if mode == "repeat" else 1)
        return _Work(prose, 0, length, prose**2 / 2)
    asked = max(1, min(config.data.max_facts, length // config.data.tokens_per_fact) / 2)
    turns, answers = asked * QUESTION_TOKENS, asked * ANSWER_TOKENS
    spans, each = cut(length, config.gist, max(stage.gists) if stage.gists else None)
    chunks, gists = len(spans), len(spans) * each
    if mode == "full":
        return _Work(length + turns, 0, answers, length**2 / 2 + turns * length)
    within, across = length**2 / chunks / 2, gists * (length / chunks + turns)
    silent = pairs = 0.0
    if config.objective.needs_teacher:
        silent, pairs = length + 2 * turns, length**2 / 2 + turns * length
    if config.gist.scope == "gist":  # the document is read without a graph
        return _Work(gists + turns, length + silent, answers, across, within + pairs)
    if config.training.path == "masked":
        within = (length + gists + turns) ** 2
    return _Work(length + gists + turns, silent, answers, within + across, pairs)


def _speed(hidden: int, dtype: torch.dtype) -> float:
    """Measure how many FLOPs per second a matrix product of the model's width does here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)  # nobody's random numbers are used up
    left, right = (
        torch.randn(n, hidden, dtype=dtype, device=device, generator=generator)
        for n in (1024, hidden)
    )
    best, end = math.inf, time.perf_counter() + 0.2
    while time.perf_counter() < end:
        start = time.perf_counter()
        product = left @ right
        product[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * 1024 * hidden**2 / best


def lines(found: Estimate, where: str = "this machine") -> list[str]:
    """Write an estimate for people."""
    trained = found.trainable_parameters
    all_parameters = trained + found.frozen_parameters
    least, most = found.step_tokens
    total = sum(found.memory_bytes.values())
    unit, scale = ("GB", GB) if total > GB else ("MB", MB)
    memory = ", ".join(f"{name} {size / scale:.1f}" for name, size in found.memory_bytes.items())
    return [
        f"trainable  {millions(trained)} M of {millions(all_parameters)} M parameters "
        f"({trained / all_parameters:.2%})",
        f"a step     {least:,}-{most:,} document tokens, {found.steps:,} steps",
        f"memory     about {total / scale:.1f} {unit} ({memory}), libraries and data aside",
        f"time       about {hours_and_minutes(found.seconds)} on {where}; a rough estimate, "
        "several times longer beside other work",
    ]
