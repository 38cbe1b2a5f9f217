"""How fast gists train, and in how much memory: ratios within one run.

    python bench/training.py [--output results/bench_training.json] [--quick]

Three questions, on random weights (cost does not depend on them):

    speed     two passes against the masked single sequence, 8 questions on each document
    tokens    two passes against plain language-model training of the same model
    memory    peak of a step at 1k, 2k, 4k and 8k tokens: does it grow linearly?

A step is forward, backward and AdamW. Variants are timed in turns, so that a slow minute of the
machine falls on all of them; the median counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from transformers import Qwen3Config, Qwen3ForCausalLM

from dnsity.config import manifest, write_json
from dnsity.data.collate import IGNORE
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.training.passes import Passes

GISTS, QUESTIONS, QUESTION_TOKENS, ANSWER_TOKENS = 25, 8, 24, 8
SHAPES = {  # hidden, layers, heads, kv heads, head width, MLP, vocabulary
    "mini": (256, 6, 8, 8, 32, 512, 8192),
    "Qwen3-0.6B": (1024, 28, 16, 8, 128, 3072, 151_936),
}
Step = Callable[[], None]


class Plan(BaseModel):
    """What is measured."""

    speed_tokens: int = 4096
    lengths: list[int] = [512, 1024, 2048, 4096]
    large_tokens: int | None = 1024
    memory: list[int] = [1024, 2048, 4096, 8192]
    repeats: int = 3
    large_repeats: int = 1


def build(shape: str) -> GistLM:
    """A model of a shape, random weights, all trained."""
    hidden, layers, heads, kv_heads, width, intermediate, vocabulary = SHAPES[shape]
    torch.manual_seed(0)
    base = Qwen3ForCausalLM(
        Qwen3Config(
            hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=kv_heads, head_dim=width, intermediate_size=intermediate,
            vocab_size=vocabulary, max_position_embeddings=16_384, tie_word_embeddings=True,
        )
    )  # fmt: skip
    return GistLM(base, GistSpec(gists=GISTS, window_tokens=16_384, scope="full")).train()


def batch(tokens: int, documents: int, questions: int, vocabulary: int) -> dict[str, Any]:
    """Random documents and questions, as `collate` lays them out."""
    generator = torch.Generator().manual_seed(tokens)

    def ids(*shape: int) -> torch.Tensor:
        return torch.randint(3, vocabulary, shape, generator=generator)

    rows = documents * questions
    asked = ids(rows, QUESTION_TOKENS + ANSWER_TOKENS)
    labels = asked[:, -ANSWER_TOKENS - 1 :].clone()
    labels[:, 0] = IGNORE
    return {
        "mode": "gist",
        "document_ids": ids(documents, tokens),
        "document_mask": torch.ones(documents, tokens, dtype=torch.bool),
        "input_ids": asked,
        "attention_mask": torch.ones_like(asked, dtype=torch.bool),
        "labels": labels,
        "document_index": torch.arange(documents).repeat_interleave(questions),
    }


def plain_step(
    lm: GistLM, optimiser: torch.optim.Optimizer, tokens: int, rows: int, vocabulary: int
) -> Step:
    """A step of plain language-model training, as transformers itself does it."""
    ids = torch.randint(3, vocabulary, (rows, tokens), generator=torch.Generator().manual_seed(1))

    def step() -> None:
        optimiser.zero_grad()
        lm.base(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimiser.step()

    return step


def one_question_each(whole: dict[str, Any]) -> dict[str, Any]:
    """The same questions, each with a copy of its document: one sequence per question."""
    index = whole["document_index"]
    return {
        **whole,
        "document_ids": whole["document_ids"][index],
        "document_mask": whole["document_mask"][index],
        "document_index": torch.arange(len(index)),
    }


def step_of(passes: Passes, optimiser: torch.optim.Optimizer, given: dict[str, Any]) -> Step:
    """A training step on a fixed batch."""

    def step() -> None:
        optimiser.zero_grad()
        (passes(given)["loss"] / 100).backward()
        optimiser.step()

    return step


def in_turns(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of each step, one of each after the other; the first round warms up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if turn:
                taken[name].append(time.perf_counter() - begun)
            print(f"  {name:32} {time.perf_counter() - begun:8.2f} s", file=sys.stderr)
    return {name: statistics.median(found) for name, found in taken.items()}


def speed(tokens: int, repeats: int) -> dict[str, Any]:
    """Questions per second of both paths, on the mini shape."""
    lm = build("mini")
    optimiser = torch.optim.AdamW(lm.parameters())
    two_pass, masked = Passes(lm), Passes(lm, path="masked")
    whole = batch(tokens, 1, QUESTIONS, SHAPES["mini"][-1])
    seconds = in_turns(
        {
            "two_pass": step_of(two_pass, optimiser, whole),
            "masked": step_of(masked, optimiser, whole),
            "masked_one_question": step_of(masked, optimiser, one_question_each(whole)),
        },
        repeats,
    )
    rates = {name: QUESTIONS / taken for name, taken in seconds.items()}
    return {
        "tokens": tokens,
        "questions": QUESTIONS,
        "questions_per_second": rates,
        "two_pass_over_masked": rates["two_pass"] / rates["masked"],
        "two_pass_over_one_question": rates["two_pass"] / rates["masked_one_question"],
    }


def against_plain(shape: str, tokens: int, repeats: int) -> dict[str, Any]:
    """Tokens per second of two-pass training and of plain language-model training."""
    lm = build(shape)
    optimiser = torch.optim.AdamW(lm.parameters())
    passes = Passes(lm)
    vocabulary = SHAPES[shape][-1]
    documents = max(1, 4096 // tokens) if shape == "mini" else 1
    given = batch(tokens, documents, QUESTIONS, vocabulary)
    counted = documents * (tokens + GISTS) + given["input_ids"].numel()
    seconds = in_turns(
        {
            "two_pass": step_of(passes, optimiser, given),
            "plain": plain_step(lm, optimiser, tokens, documents, vocabulary),
        },
        repeats,
    )
    rates = {
        "two_pass": counted / seconds["two_pass"],
        "plain": documents * tokens / seconds["plain"],
    }
    return {
        "shape": shape,
        "tokens": tokens,
        "documents": documents,
        "tokens_per_second": rates,
        "two_pass_over_plain": rates["two_pass"] / rates["plain"],
    }


def peak(path: str, tokens: int) -> float:
    """Megabytes that a step at this length takes beyond a very short one, in a fresh process."""
    command = [sys.executable, __file__, "--peak", path, str(tokens)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_peak(path: str, tokens: int) -> None:
    """Print the difference; runs in a process of its own."""
    lm = build("mini")
    optimiser = torch.optim.AdamW(lm.parameters())
    vocabulary = SHAPES["mini"][-1]

    def step(length: int) -> None:
        if path == "plain":
            plain_step(lm, optimiser, length, 1, vocabulary)()
            return
        passes = Passes(lm, path="masked" if path == "masked" else "two_pass")
        step_of(passes, optimiser, batch(length, 1, QUESTIONS, vocabulary))()

    step(64)
    before = _peak_mb()
    step(tokens)
    print(_peak_mb() - before)


def _peak_mb() -> float:
    """Peak resident memory of this process; `getrusage` would begin at its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def plain_rows(plan: Plan) -> list[dict[str, Any]]:
    """The mini shape at every length, and the largest shape that fits."""
    rows = [against_plain("mini", tokens, plan.repeats) for tokens in plan.lengths]
    if plan.large_tokens is not None:
        rows.append(against_plain("Qwen3-0.6B", plan.large_tokens, plan.large_repeats))
    return rows


def memory_mb(plan: Plan) -> dict[str, dict[int, float]]:
    """Peak of a step by path and length."""
    return {
        path: {tokens: round(peak(path, tokens), 1) for tokens in plan.memory}
        for path in ("two_pass", "masked", "plain")
    }


PARTS: dict[str, Callable[[Plan], Any]] = {
    "speed": lambda plan: speed(plan.speed_tokens, plan.repeats),
    "plain": plain_rows,
    "memory_mb": memory_mb,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, help="parts are put beside those already there")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="small lengths, to see that it runs")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        measure_peak(given.peak[0], int(given.peak[1]))
        return
    plan = Plan()
    if given.quick:
        plan = Plan(
            speed_tokens=256, lengths=[128], large_tokens=None, memory=[128, 256], repeats=1
        )
    described = {**manifest(plan, 0), "threads": torch.get_num_threads()}
    found = {name: {"measured": PARTS[name](plan), "manifest": described} for name in given.parts}
    if given.output:
        old = json.loads(given.output.read_text("utf-8")) if given.output.exists() else {}
        write_json(given.output, {**old, **found})
    print(json.dumps({name: part["measured"] for name, part in found.items()}, indent=2))


if __name__ == "__main__":
    main()
