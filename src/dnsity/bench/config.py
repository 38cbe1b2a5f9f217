"""Settings of a benchmark."""

from __future__ import annotations

from pydantic import Field

from dnsity.config import Config, Gists, Tokens
from dnsity.inference.hardware import Dtype
from dnsity.model.base import Quantization


class BenchConfig(Config):
    """One benchmark.

    Attributes:
        shape: Name in `shapes.SHAPES`, or the directory of a base model.
        tokens: Document lengths.
        gists: Gist counts.
        dtype: Compute type.
        quantization: 4-bit linear layers.
        batch: Documents answered in one batch.
        stored: Gist files in a folder, some of which are opened at random.
        new_tokens: Tokens decoded to measure speed.
        repeats: Timed rounds after a warm-up round; results are medians. What takes milliseconds
            is timed more often.
        train_tokens: Document lengths to time training steps on; an empty list skips training.
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
        """The gist count that is used where one is enough."""
        return self.gists[len(self.gists) // 2]
