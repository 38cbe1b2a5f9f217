"""How the next token of an answer is chosen: greedy decoding, or sampling with a random seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from dnsity.config import MOST
from dnsity.errors import BadInputError, UnsupportedModelError

_COLDEST, _HOTTEST, _LEAST_TOP_P = 0.001, 1_000_000, 1e-6
"""Outside these limits, logits divided by the temperature are infinite or all equal."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy decoding.

    Attributes:
        max_new_tokens: Most tokens of an answer.
        temperature: Above 0, tokens are sampled.
        top_p: Sample from the smallest set of likeliest tokens that has this probability.
        seed: Random seed of a call: the same call gives the same answers (None: a new seed each
            time). The random state of the caller is neither used nor changed.
    """

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            BadInputError: If a value is out of range.
        """
        warm = self.temperature == 0 or _COLDEST <= self.temperature <= _HOTTEST
        seeded = self.seed is None or 0 <= self.seed < 2**32
        few = 1 <= self.max_new_tokens <= MOST
        if not (few and warm and _LEAST_TOP_P <= self.top_p <= 1 and seeded):
            raise BadInputError(
                f"needs max_new_tokens >= 1, temperature 0 or {_COLDEST} to {_HOTTEST}, top_p "
                f"{_LEAST_TOP_P} to 1 and seed 0 to {2**32 - 1}, got {self}"
            )

    def arguments(self) -> dict[str, Any]:
        """Return arguments of `generate`, which override the base's generation_config.json."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": 1,
            "repetition_penalty": 1.0,
            "no_repeat_ngram_size": 0,
            "do_sample": False,  # `_Sampler` samples, without the caller's random state
            "logits_processor": LogitsProcessorList([_Sampler(self)]),
        }


class _Sampler(LogitsProcessor):
    """Samples one token and masks all others, with a random state of its own.

    So no call changes the random state of its caller, and no thread that of another.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.seed = sampling.seed
        self.warpers: list[LogitsProcessor] = []
        if sampling.temperature > 0:
            self.warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
            if sampling.top_p < 1:
                self.warpers.append(TopPLogitsWarper(sampling.top_p))
        self.generator: torch.Generator | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if bool(scores.isnan().any()):
            raise UnsupportedModelError(
                "the model computes logits that are not numbers, so there is no answer; if it runs "
                'in float16, compute in bfloat16 or float32 (in Python dtype="bfloat16", in an '
                "evaluation dtype: bfloat16)"
            )
        if not self.warpers:
            return scores
        for warper in self.warpers:
            scores = warper(input_ids, scores)
        if self.generator is None:
            self.generator = torch.Generator(scores.device)
            if self.seed is None:
                self.generator.seed()
            else:
                self.generator.manual_seed(self.seed)
        probabilities = scores.softmax(dim=-1)
        chosen = torch.multinomial(probabilities, 1, generator=self.generator)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


GREEDY = Sampling()
