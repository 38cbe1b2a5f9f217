"""What a benchmark measures."""

from __future__ import annotations

from pydantic import Field

from dnsity.config import Config, Gists, Tokens
from dnsity.inference.hardware import Dtype
from dnsity.model.base import Quantization


class BenchConfig(Config):
    """One benchmark.

    Attributes:
        shape: A name in `shapes.SHAPES`, or the directory of a base model.
        tokens: Document lengths.
        gists: Gist counts.
        dtype: Compute type.
        quantization: Keep the linear layers in 4 bit.
        batch: Documents answered in one batch.
        stored: Gist files in the folder from which some are opened at random.
        new_tokens: Tokens decoded to measure speed.
        repeats: Times every figure is taken after a first round; medians count. What takes
            milliseconds is taken more often.
        train_tokens: Lengths of document to time training steps on; none: no training.
        checkpointing: Recompute layers in the backward pass of a training step.
    """

    shape: str = "mini"
    tokens: list[Tokens] = Field(default=[2048, 4096, 8192], min_length=1)
    gists: list[Gists] = Field(default=[10, 25, 50], min_length=1)
    dtype: Dtype = "float32"
    quantization: Quantization | None = None
    batch: int = Field(default=32, ge=1, le=1_000_000)
    stored: int = Field(default=1000, ge=1, le=1_000_000)
    new_tokens: int = Field(default=16, ge=2, le=1_000_000)
    repeats: int = Field(default=1, ge=1, le=1_000_000)
    train_tokens: list[Tokens] = Field(default=[512])
    checkpointing: bool = False

    @property
    def middle(self) -> int:
        """The gist count that stands for all where one does."""
        return self.gists[len(self.gists) // 2]
