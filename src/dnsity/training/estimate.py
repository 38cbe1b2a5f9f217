"""What a gist training run would take: parameters, tokens, memory and time. Nothing is loaded.

The model is built on torch's meta device from the base's config alone, so shapes are exact; memory
and time are formulas over the segments that a micro-batch runs through the base:

    mode gist   document ──▶ gists ──▶ question, answer      per window of the document
    mode full   document ──▶ question, answer
    mode text   prose

    memory = weights + 12 bytes per trainable (gradient, AdamW) + what the graph keeps + logits
    time   = FLOPs / (speed of a matrix product, measured now, times what a run reaches of it)

Not counted: Python and its libraries (about 0.5 GB), the corpus, and the making of the data. A
mixture of experts counts as if every token went through every expert.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from dnsity.errors import BadInputError, UnsupportedModelError, first_line
from dnsity.gist.spec import Scope
from dnsity.model import backbone, checkpoint
from dnsity.model import base as bases
from dnsity.model.architectures import require_supported
from dnsity.model.gist_lm import GistLM
from dnsity.training.batches import QUESTION_TOKENS
from dnsity.training.curriculum import Mode, Stage
from dnsity.training.settings import Settings, bfloat16_is_fast
from dnsity.training.train_gist import TrainConfig

ANSWER_TOKENS = 8
"""A short answer: a space, five digits, the end token, and the token before them."""
FLOAT = 4
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes per weight: a scale of one byte per 64 weights, whose scale is a float per 256 of them."""
LOGIT = 16
"""Bytes per logit beside itself: picked, in float32, as log-probabilities, and their gradient."""
OPTIMISER = 12
"""Bytes per trainable parameter: gradient and AdamW's two moments, in float32."""
HEAP = 1.5
"""What a CPU's allocator holds beside live tensors; measured 1.3 to 2.1 with glibc."""
UTILISATION = 0.65
"""Share of the measured speed of matrix products that a step's matrix products reach."""
ATTENTION_UTILISATION = 0.33
"""The same for attention."""
FLASH_BACKWARD = 2.5
"""FLOPs of attention's backward pass for each of its forward pass: it computes scores anew."""

Graph: TypeAlias = Literal["none", "frozen", "adapter", "weights"]
"""What the backward pass does with a segment.

    none      nothing: no graph is kept
    frozen    passes gradients on to what stands before the segment
    adapter   also trains LoRA
    weights   also trains the base
"""
GRAPHS: dict[Scope, tuple[Graph, Graph, Graph]] = {
    "gist": ("none", "adapter", "frozen"),
    "document": ("adapter", "adapter", "frozen"),
    "both": ("adapter", "adapter", "adapter"),
    "full": ("weights", "weights", "weights"),
}
"""Of document, gists and answer, by scope."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory of a run, in bytes."""

    weights: int
    optimiser: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.optimiser + self.activations + self.logits


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        trainable_parameters: How many parameters are trained.
        frozen_parameters: How many are not.
        steps: Optimiser steps.
        step_tokens: Document tokens per step: fewest, mean, most.
        total_tokens: Document tokens in all.
        longest_tokens: The longest document, in tokens.
        memory: At the peak.
        seconds: Of the whole run.
        device: Where it would run.
    """

    trainable_parameters: int
    frozen_parameters: int
    steps: int
    step_tokens: tuple[int, float, int]
    total_tokens: int
    longest_tokens: int
    memory: Memory
    seconds: float
    device: str

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        values = asdict(self)
        return {**values, "memory": {**values["memory"], "total": self.memory.total}}


@dataclass(frozen=True, slots=True)
class _Shape:
    """Sizes of the base, in numbers: per token where nothing else is said."""

    layers: int
    hidden: int
    queries: int
    keys: int
    heads: int
    vocab: int
    matrices: int
    """Weights of one layer's matrices."""
    inner: int
    """What an MLP's first matrices put out."""
    norms: int
    """What one layer normalises."""
    adapter: float
    """LoRA weights per layer, on average."""
    ranks: float
    """What LoRA's first matrices put out, per layer on average."""
    bytes: int
    """Of a number that a matrix product computes."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """Tokens that run through the base together: `rows` of equal length behind some keys.

    Attributes:
        rows: Documents, or questions.
        tokens: Of a row.
        before: Keys that stand before a row.
        graph: What the backward pass does with it.
        unread: Last layers of whose output nothing depends. Of the last one a compress pass
            computes keys and values only, and gists never come to read those of the document.
        masked: Under a mask, which only a document alone in its batch does without.
        passes: Calls of the base that the rows are spread over.
    """

    rows: float
    tokens: int
    before: int
    graph: Graph
    unread: int = 1
    masked: bool = True
    passes: int = 1


@dataclass(frozen=True, slots=True)
class _Batch:
    """One micro-batch.

    Attributes:
        per_step: How many like this a step has, on average over the run.
        segments: What runs through the base.
        logits: Tokens that get logits.
        held: Tokens whose keys and values are kept aside in every layer.
    """

    per_step: float
    segments: tuple[_Segment, ...]
    logits: float
    held: float = 0


def skeleton(config: TrainConfig) -> GistLM:
    """Build the model of a run on the meta device: shapes without numbers, no weights are read.

    Raises:
        BadInputError: If base and configuration do not fit, as the run itself would say.
        UnsupportedModelError: If the base cannot hold gists.
    """
    name, spec, lora = config.base, config.gist, None
    quantization = getattr(config, "quantization", None)
    if (Path(name) / checkpoint.CONFIG_FILE).exists():
        directory = checkpoint.find(name)
        saved = checkpoint.read_config(directory)
        # A chat's frame is in its tokenizer, and changes no shape.
        wanted = spec.model_copy(update={"question_template": saved.spec.question_template})
        if saved.spec != wanted:
            raise BadInputError(
                f"{name} was trained with {saved.spec}, the configuration asks for {wanted}; make "
                "the `gist` section equal or start from its base"
            )
        quantization = saved.quantization
        lora = None if spec.scope == "full" else checkpoint._lora_config(directory / "adapter")
        name = checkpoint._base_name(directory, saved)
    elif config.lora is not None:
        from peft import LoraConfig

        lora = LoraConfig(
            r=config.lora.rank, target_modules=config.lora.target_modules, task_type="CAUSAL_LM"
        )
    described = _base_config(name)
    for key, value in bases._quantize(name, described, quantization, torch.float32).items():
        setattr(described, key, value)
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(
            described, attn_implementation="sdpa", dtype=torch.float32
        )
        return GistLM(base, spec, lora=lora)


def _base_config(name: str) -> PreTrainedConfig:
    """Read a base's config, and refuse it for the reasons that `load_base` has."""
    try:
        raw, _ = PreTrainedConfig.get_config_dict(name)
        foreign = [named for named in bases._named_attention(raw) if named not in bases.ATTENTION]
        if foreign:
            raise UnsupportedModelError(
                f"the config of {name!r} asks for attention code {foreign[0]!r}; "
                f"allowed are {', '.join(a for a in bases.ATTENTION if a)}"
            )
        config: PreTrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except UnsupportedModelError:
        raise
    except (OSError, ValueError, StrictDataclassError) as error:
        raise BadInputError(f"no usable base model at {name!r}: {first_line(error)}") from error
    require_supported(config)
    return config


def estimate(lm: GistLM, config: TrainConfig) -> Estimate:
    """Work out what a run takes on this machine, whose speed is measured for a fifth of a second.

    When accuracy ends a stage cannot be known: steps are spread evenly over the stages, within
    their `most_steps`.

    Args:
        lm: The model of the run, as `skeleton` builds it.
        config: The run.
    """
    settings = config.training
    bf16 = bfloat16_is_fast() if settings.bf16 is None else settings.bf16
    shape = _shape(lm, 2 if bf16 else FLOAT)
    draws = list(_draws(config.stages, settings.steps))
    tokens = [_documents(settings, length) * length for _, _, _, length in draws]
    mean = sum(share * each for (share, *_), each in zip(draws, tokens, strict=True))
    batches = [_batch(config, *draw) for draw in draws]
    work = sum(b.per_step * _work(shape, b, settings.checkpointing) for b in batches)
    trainable = sum(p.numel() for p in lm.parameters() if p.requires_grad)
    gpu = torch.cuda.is_available()
    return Estimate(
        trainable_parameters=trainable,
        frozen_parameters=sum(p.numel() for p in lm.parameters()) - trainable,
        steps=settings.steps,
        step_tokens=(min(tokens), mean, max(tokens)),
        total_tokens=round(settings.steps * mean),
        longest_tokens=max(length for _, _, _, length in draws),
        memory=_memory(lm, shape, batches, settings.checkpointing, 1 if gpu else HEAP),
        seconds=settings.steps * work / _speed(shape.hidden, bf16),
        device=torch.cuda.get_device_name() if gpu else f"cpu, {torch.get_num_threads()} cores",
    )


def _documents(settings: Settings, length: int) -> int:
    """Say how many documents of a length a step holds, as `Batches` does."""
    return max(settings.least_documents, settings.tokens_per_step // (length + QUESTION_TOKENS))


def _draws(stages: list[Stage], steps: int) -> Iterator[tuple[float, Stage, Mode, int]]:
    """Yield what steps are drawn: share of all steps, stage, mode, length of documents."""
    ends = [s.advance_at is not None or s.most_steps is not None for s in stages[:-1]] + [False]
    reached = stages[: ends.index(False) + 1]
    left = float(steps)
    for number, stage in enumerate(reached):
        last = number + 1 == len(reached)
        fair = left / (len(reached) - number) if stage.advance_at is not None else left
        taken = left if last else min(fair, stage.most_steps or fair)
        left -= taken
        weight = sum(stage.share.values()) * len(stage.tokens) * steps
        for mode, share in stage.share.items():
            for length in stage.tokens:
                yield taken * share / weight, stage, mode, length


def _asked(config: TrainConfig, stage: Stage, length: int) -> tuple[float, float]:
    """Return questions per document and tokens per answer, on average over kinds of documents."""
    data = config.data
    kinds = stage.documents or data.documents
    many = (1 + min(data.max_facts, max(1, length // data.tokens_per_fact))) / 2
    questions: dict[str, float] = {
        **dict.fromkeys(("codes", "facts", "alike"), many),
        "quote": max(1, length // data.tokens_per_quote),
    }
    long = sum(w for kind, w in kinds.items() if kind in ("reconstruct", "continue"))
    total = sum(kinds.values())
    count = sum(w * questions.get(kind, 1) for kind, w in kinds.items()) / total
    return count, ANSWER_TOKENS + long / total * max(0, data.span_tokens - ANSWER_TOKENS)


def _batch(config: TrainConfig, share: float, stage: Stage, mode: Mode, length: int) -> _Batch:
    """Lay out a micro-batch as `Batches` and `Passes` would."""
    settings, spec = config.training, config.gist
    documents = _documents(settings, length)
    rows = math.ceil(documents / settings.accumulation)
    per_step = share * documents / rows
    of_document, of_gist, of_answer = GRAPHS[spec.scope]
    if mode in ("text", "repeat"):
        prose = length * (2 if mode == "repeat" else 1)
        row = _Segment(rows, prose, 0, of_answer, unread=0, masked=False)
        return _Batch(per_step, (row,), rows * length)
    questions, answer = _asked(config, stage, length)
    asked, turn = rows * questions, round(QUESTION_TOKENS - ANSWER_TOKENS + answer)
    padded = rows > 1  # documents of one length differ by a few tokens
    document = _Segment(rows, length, 0, of_answer, masked=padded)
    reply = _Segment(asked, turn, length, of_answer, unread=0)
    if mode == "full":
        return _Batch(per_step, (document, reply), asked * answer, held=asked * length)
    chunks = math.ceil(length / spec.window_tokens)
    gists = max(stage.gists) if stage.gists else spec.gists
    chunk, held = math.ceil(length / chunks), 0.0
    segments: tuple[_Segment, ...]
    if settings.path == "masked":
        line = length + chunks * gists + round(questions * turn)
        segments = (_Segment(rows, line, 0, of_gist, unread=0, passes=rows),)
    else:
        held = rows * chunk if of_document == "none" else 0.0
        segments = (
            _Segment(rows * chunks, chunk, 0, of_document, 2, padded, passes=chunks),
            _Segment(rows * chunks, gists, chunk, of_gist, passes=chunks),
            replace(reply, before=chunks * gists),
        )
    if config.objective.needs_teacher:
        silent = [replace(s, graph="none") for s in (document, reply, replace(reply, before=0))]
        segments, held = (*segments, *silent), held + (rows + asked) * length
    return _Batch(per_step, segments, asked * answer, held)


def _shape(lm: GistLM, compute_bytes: int) -> _Shape:
    """Read the sizes off the first layer; the adapter of the last one may be smaller."""
    text = lm.base.config.get_text_config()
    layers = backbone.num_layers(lm.base)
    heads = int(text.num_attention_heads)
    dim = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    queries, keys = heads * dim, int(getattr(text, "num_key_value_heads", None) or heads) * dim
    named = list(cast(Any, backbone.body(lm.base)).layers[0].named_parameters())
    own = [(name, p) for name, p in named if "lora_" not in name]
    matrices = [p for _, p in own if p.ndim > 1]
    norms = [p.numel() for name, p in own if p.ndim == 1 and not name.endswith("bias")]
    adapter = {n: p for n, p in lm.base.named_parameters() if "lora_" in n}
    return _Shape(
        layers=layers,
        hidden=int(text.hidden_size),
        queries=queries,
        keys=keys,
        heads=heads,
        vocab=int(text.vocab_size),
        matrices=sum(p.numel() for p in matrices),
        inner=sum(p.numel() // p.shape[-1] for p in matrices)
        - (queries + 2 * keys + 2 * int(text.hidden_size)),
        # Norms of a head's width act on every head, of queries or of keys.
        norms=sum((queries + keys) // 2 if each == dim else each for each in norms),
        adapter=sum(p.numel() for p in adapter.values()) / layers,
        ranks=sum(p.shape[0] for n, p in adapter.items() if "lora_A" in n) / layers,
        bytes=compute_bytes,
    )


def _kept(shape: _Shape, segment: _Segment) -> float:
    """Count the bytes that one layer keeps of a segment for the backward pass.

    Per token: what is normalised, the inputs of matrices that are trained, queries and what
    attention puts out, and everything inside the MLP, before and after its activation. Beside that
    the keys and values a row sees, and its mask: every layer has a copy in numbers.
    """
    half = shape.bytes < FLOAT
    inputs = 5 if half else 2  # autocast casts the input of each matrix anew
    tokens, seen = segment.rows * segment.tokens, segment.before + segment.tokens
    per_token = (
        FLOAT * (shape.norms * (2 if segment.graph == "weights" else 1) + shape.heads)
        + shape.bytes * (2 * shape.queries + 2 * shape.inner)
        + shape.bytes * (inputs * shape.hidden if segment.graph in ("adapter", "weights") else 0)
        + shape.bytes * (shape.ranks + half * shape.queries if segment.graph == "adapter" else 0)
    )
    # Under a mask keys and values are repeated for all heads that share them.
    per_slot = 2 * shape.bytes * (shape.queries if segment.masked else shape.keys)
    mask = shape.bytes * segment.tokens * seen if segment.masked else 0
    return tokens * per_token + segment.rows * (seen * per_slot + mask)


def _activations(shape: _Shape, batch: _Batch, checkpointing: bool) -> float:
    """Count the bytes that a micro-batch keeps for its backward pass, logits aside."""
    keys = 2 * shape.bytes * shape.keys
    total, working = batch.held * shape.layers * keys, 0.0
    for segment in batch.segments:
        once = _kept(shape, segment)
        if checkpointing or segment.graph == "none":  # one layer at a time
            working = max(working, once)
            once = segment.rows * segment.tokens * (FLOAT * shape.hidden + keys)
        if segment.graph != "none":
            total += (shape.layers - segment.unread) * once
    return total + working


def _copies(lm: GistLM, shape: _Shape, batch: _Batch, checkpointing: bool) -> float:
    """Count the bytes of weights that autocast keeps in bfloat16 beside those in float32.

    Of weights that are trained there is one copy. Of frozen ones there is one for each pass that
    has a graph, as autocast remembers only those that are trained.
    """
    if shape.bytes == FLOAT:
        return 0
    graphs = [s for s in batch.segments if s.graph != "none"]
    passes = 1 if lm.spec.scope == "full" else sum(s.passes for s in graphs)
    if checkpointing or bases.quantization_of(lm.base.config):
        passes = 0
    return shape.bytes * (passes * shape.layers * shape.matrices + shape.hidden * shape.vocab)


def _memory(
    lm: GistLM, shape: _Shape, batches: list[_Batch], checkpointing: bool, heap: float
) -> Memory:
    """Add up the peak: of all micro-batches the one that needs most."""
    packed = NF4 if bases.quantization_of(lm.base.config) else FLOAT
    linear = shape.layers * shape.matrices
    weights = FLOAT * (sum(p.numel() for p in lm.parameters()) - linear) + packed * linear
    trainable = sum(p.numel() for p in lm.parameters() if p.requires_grad)

    def parts(batch: _Batch) -> tuple[float, float, float]:
        return (
            weights + _copies(lm, shape, batch, checkpointing),
            heap * _activations(shape, batch, checkpointing),
            batch.logits * shape.vocab * (LOGIT + shape.bytes),
        )

    most = max(map(parts, batches), key=sum)
    return Memory(round(most[0]), OPTIMISER * trainable, round(most[1]), round(most[2]))


def _work(shape: _Shape, batch: _Batch, checkpointing: bool) -> float:
    """Count the FLOPs of a micro-batch, forward and back, each by how slowly it runs."""
    trained = any(segment.graph == "weights" for segment in batch.segments)
    products = 2 * batch.logits * shape.hidden * shape.vocab * (3 if trained else 2)
    attention = 0.0
    for segment in batch.segments:
        tokens, seen = segment.rows * segment.tokens, segment.before + segment.tokens
        # Forward and backward passes, each of a matrix product and of attention (whose backward
        # computes the scores anew); checkpointing replays the forward pass.
        again = checkpointing and segment.graph != "none"
        forward = (shape.layers - min(segment.unread, not again)) * (1 + again)
        backward = 0 if segment.graph == "none" else shape.layers - segment.unread
        partial = (shape.queries + 2 * shape.keys) * shape.hidden if segment.unread else 0
        both = 2 if segment.graph == "weights" else 1
        products += (
            2
            * tokens
            * (
                (forward + both * backward) * shape.matrices
                + (1 + both * (segment.graph != "none")) * partial
                + (shape.layers * shape.adapter * (3 + again) if segment.graph == "adapter" else 0)
            )
        )
        pairs = tokens * seen / (1 if segment.masked else 2)
        attention += 4 * shape.queries * pairs * (forward + FLASH_BACKWARD * backward)
    return products / UTILISATION + attention / ATTENTION_UTILISATION


def _speed(hidden: int, bf16: bool) -> float:
    """Measure how many FLOPs per second a matrix product of the model's width does here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if bf16 else torch.float32
    tokens = torch.randn(1024, hidden, dtype=dtype, device=device)
    weights = torch.randn(hidden, hidden, dtype=dtype, device=device)
    best, end = math.inf, time.perf_counter() + 0.2
    while True:
        start = time.perf_counter()
        for _ in range(3):
            tokens @ weights
        if device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        best = min(best, (now - start) / 3)
        if now > end:
            return 2 * 1024 * hidden**2 / best


def lines(found: Estimate) -> list[str]:
    """Write an estimate for people."""
    all_parameters = found.trainable_parameters + found.frozen_parameters
    least, mean, most = found.step_tokens
    span = f"{least:,}" if least == most else f"{least:,}-{most:,}"
    memory = found.memory
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in asdict(memory).items())
    rows = {
        "trainable": f"{_count(found.trainable_parameters)} of {_count(all_parameters)} parameters "
        f"({found.trainable_parameters / all_parameters:.2%})",
        "a step": f"{span} document tokens, {mean:,.0f} on average; documents of up to "
        f"{found.longest_tokens:,}",
        "in all": f"{_count(found.total_tokens)} document tokens in {found.steps:,} steps",
        "memory": f"about {memory.total / 1e9:.1f} GB ({parts})",
        "time": f"about {_duration(found.seconds)} on this machine ({found.device})",
        "": "Estimates: nothing was loaded or trained. Memory may be off by half, time by a factor "
        "of two.",
    }
    return [f"{name:11} {text}".strip() for name, text in rows.items()]


def _count(number: float) -> str:
    """Write a large number with three digits."""
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def _duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
