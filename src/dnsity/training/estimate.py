"""Estimates what a run takes before it starts: parameters, memory, time. No weights are loaded.

The model is built on torch's meta device from the base's config, so parameters are counted exactly.
Memory and time are rules of thumb, based on the tokens of a step:

    memory   weights + 12 bytes per trainable parameter (gradient, AdamW) + what the backward pass
             needs of the largest micro-batch + logits of its answers
    time     FLOPs / (measured speed of a matrix product x the share of it that a step reaches)
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from dnsity.data.batch import Mode
from dnsity.gist.layout import cut
from dnsity.inference.hardware import bfloat16_is_fast
from dnsity.io.units import GB, MB, hours_and_minutes, millions
from dnsity.model import checkpoint
from dnsity.model.architectures import cache_shape
from dnsity.model.base import attention_kernel, base_config
from dnsity.model.gist_lm import GistLM
from dnsity.model.names import base_path
from dnsity.training.batches import QUESTION_TOKENS, documents_of
from dnsity.training.curriculum import Stage
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
"""Bytes that a CPU's allocator takes per byte of live tensors, in a run of changing lengths."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Parameters, memory and time of a run.

    Attributes:
        trainable_parameters: Exact count.
        frozen_parameters: Exact count.
        steps: Optimiser steps.
        step_tokens: Document tokens of a step: fewest and most.
        memory_bytes: Peak memory, by use.
        seconds: Duration of the whole run, on one process.
    """

    trainable_parameters: int
    frozen_parameters: int
    steps: int
    step_tokens: tuple[int, int]
    memory_bytes: dict[str, int]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {**asdict(self), "peak_bytes": sum(self.memory_bytes.values())}


def skeleton(config: TrainConfig) -> GistLM:
    """Build the model of a run on the meta device: shapes without values.

    Raises:
        BadInputError: If there is no such base, or scope and adapter do not fit it.
        UnsupportedModelError: If the base does not support gists.
    """
    name = base_path(config.base)
    if (Path(name) / checkpoint.CONFIG_FILE).exists():
        name = checkpoint.base_under(Path(name), checkpoint.read_config(Path(name)))
    described = base_config(name)
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(
            described,
            attn_implementation=attention_kernel(described),
            dtype=getattr(torch, config.dtype),
        )
        return GistLM(base, config.gist, lora=lora_of(config))


@dataclass(frozen=True, slots=True)
class _Work:
    """The tokens that one document of a step runs through the base.

    Attributes:
        trained: Tokens whose activations the backward pass needs.
        untracked: Tokens outside the autograd graph; only their keys and values are stored.
        answers: Tokens with logits.
        trained_pairs: Pairs of query and key in attention that has a backward pass.
        untracked_pairs: Pairs of query and key in attention outside the autograd graph.
    """

    trained: float
    untracked: float
    answers: float
    trained_pairs: float
    untracked_pairs: float = 0


@dataclass(frozen=True, slots=True)
class _Shape:
    """The sizes of a base that memory and time depend on.

    Attributes:
        layers: Decoder layers.
        hidden: Width of the hidden state.
        vocab: Rows of the vocabulary head.
        attention: Width of the queries of all heads.
        keys: Width of the keys of all heads.
        linear: Weights of the linear layers in the decoder.
    """

    layers: int
    hidden: int
    vocab: int
    attention: int
    keys: int
    linear: list[Tensor]

    @classmethod
    def of(cls, lm: GistLM) -> _Shape:
        """Read the sizes off a model."""
        text = lm.base.config.get_text_config()
        layers, key_heads, dim = cache_shape(text)
        return cls(
            layers,
            text.hidden_size,
            text.vocab_size,
            dim * int(text.num_attention_heads),
            dim * key_heads,
            [
                module.weight
                for name, module in lm.base.get_decoder().named_modules()
                if isinstance(module, nn.Linear) and "lora_" not in name
            ],
        )


def estimate(config: TrainConfig, gpu_teraflops: float | None = None) -> Estimate:
    """Estimate what a run takes on this machine, whose speed is measured for 0.2 seconds.

    On two CPU cores real runs took half to twice as long (docs/log.md). Next to other work the same
    run was estimated at 3.5 and 9.4 hours. GPU estimates are untested. Data, probes and libraries
    are not included.

    Args:
        config: The run.
        gpu_teraflops: Estimate for a GPU of this bfloat16 speed instead, as in its data sheet.

    Raises:
        BadInputError: As `skeleton`.
    """
    lm = skeleton(config)
    shape = _Shape.of(lm)
    settings = config.training
    samples = [
        (share / len(stage.tokens) * stage.share[mode] / sum(stage.share.values()), stage, mode, n)
        for share, stage in _shares(config.stages, settings.steps)
        for mode in stage.share
        for n in stage.tokens
    ]
    on_gpu = gpu_teraflops is not None or torch.cuda.is_available()
    fast = gpu_teraflops is not None or bfloat16_is_fast()
    bf16 = fast if settings.bf16 is None else settings.bf16
    width = 2 if bf16 or config.dtype == "bfloat16" else FLOAT
    flops, memory = 0.0, {"activations": 0.0, "logits": 0.0}
    for share, stage, mode, length in samples:
        documents = documents_of(settings, length)
        work = _work(config, stage, mode, length)
        flops += share * documents * _flops(config, shape, work)
        rows = math.ceil(documents / settings.accumulation)
        activations, logits = _bytes(config, shape, work, width)
        memory["activations"] = max(memory["activations"], rows * activations)
        memory["logits"] = max(memory["logits"], rows * logits)
    if gpu_teraflops is None:
        speed = _speed(shape.hidden, torch.bfloat16 if width == 2 else torch.float32)
    else:
        speed = gpu_teraflops * 1e12
    trainable, frozen, weights = _weights(config, lm, shape)
    heap = 1 if on_gpu else HEAP
    sizes = [documents_of(settings, length) * length for _, _, _, length in samples]
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


def _flops(config: TrainConfig, shape: _Shape, work: _Work) -> float:
    """Return the FLOPs of one document, each divided by the share of the speed it reaches."""
    # Per weight and trained token: 2 forward, 2 for gradients of activations, 2 for those of
    # weights.
    per_weight = (6 if config.gist.scope == "full" else 4) + 2 * config.training.checkpointing
    weights = sum(w.numel() for w in shape.linear)
    products = (per_weight * work.trained + 2 * work.untracked) * weights
    head = 6 * work.answers * shape.hidden * shape.vocab
    # The backward pass of attention costs 2.5 times its forward pass.
    pairs = 3.5 * work.trained_pairs + work.untracked_pairs
    attention = 4 * pairs * shape.attention * shape.layers
    return (products + head) / REACHED + attention / ATTENTION_REACHED


def _bytes(config: TrainConfig, shape: _Shape, work: _Work, width: int) -> tuple[float, float]:
    """Return the bytes of activations and of logits for one document."""
    # A layer stores the inputs and outputs of its norms and matrices.
    inner = sum(w.shape[0] + w.shape[1] / 2 for w in shape.linear) / shape.layers
    layer = FLOAT * 6 * shape.hidden + width * inner
    stored = shape.layers * layer
    if config.training.checkpointing:
        stored = shape.layers * FLOAT * shape.hidden + layer
    activations = work.trained * stored
    activations += work.untracked * (2 * shape.keys * shape.layers * width + layer)
    return activations, work.answers * shape.vocab * 4 * FLOAT


def _weights(config: TrainConfig, lm: GistLM, shape: _Shape) -> tuple[int, int, float]:
    """Return the numbers of trainable and frozen parameters, and the bytes of all."""
    parameters = list(lm.parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    frozen = sum(p.numel() for p in parameters) - trainable
    size = float(sum(p.numel() * p.element_size() for p in parameters))
    if config.quantization is not None:
        quantised = [w for w in shape.linear if not w.requires_grad]
        size -= sum(w.numel() * (w.element_size() - NF4) for w in quantised)
    return trainable, frozen, size


def _shares(stages: list[Stage], steps: int) -> list[tuple[float, Stage]]:
    """Distribute steps evenly over the stages: when accuracy ends a stage is not known."""
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
    """Count the tokens that one document runs through the base."""
    if mode in ("text", "repeat"):
        text = length * (2 if mode == "repeat" else 1)
        return _Work(text, 0, length, text**2 / 2)
    asked = max(1, min(config.data.max_facts, length // config.data.tokens_per_fact) / 2)
    turns, answers = asked * QUESTION_TOKENS, asked * ANSWER_TOKENS
    spans, each = cut(length, config.gist, max(stage.gists) if stage.gists else None)
    chunks, gists = len(spans), len(spans) * each
    if mode == "full":
        return _Work(length + turns, 0, answers, length**2 / 2 + turns * length)
    within, across = length**2 / chunks / 2, gists * (length / chunks + turns)
    untracked = pairs = 0.0
    if config.objective.needs_teacher:
        untracked, pairs = length + 2 * turns, length**2 / 2 + turns * length
    if config.gist.scope == "gist":  # the document has no graph
        return _Work(gists + turns, length + untracked, answers, across, within + pairs)
    if config.training.path == "masked":
        within = (length + gists + turns) ** 2
    return _Work(length + gists + turns, untracked, answers, within + across, pairs)


def _speed(hidden: int, dtype: torch.dtype) -> float:
    """Measure the FLOPs per second of a matrix product of the model's width."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)  # global random state is not used
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
    """Return an estimate as lines of text."""
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
        "several times longer next to other work",
    ]
