"""A gist model in memory with everything needed to read and write text."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import PreTrainedTokenizerBase

from dnsity.data.encode import TextEncoder
from dnsity.errors import GistMismatchError
from dnsity.inference.gist_cache import GistCache
from dnsity.model import backbone
from dnsity.model.fingerprint import fingerprints
from dnsity.model.gist_lm import GistLM


@dataclass(frozen=True)
class LoadedModel:
    """What the rest of `inference` works on.

    Attributes:
        lm: The model.
        tokenizer: Its tokenizer.
        name: What it was loaded as.
        base_name: Its base model.
        trained: Whether its gists were trained; a bare base has none worth asking.
    """

    lm: GistLM
    tokenizer: PreTrainedTokenizerBase
    name: str
    base_name: str
    trained: bool = True

    def now(self) -> float:
        """Return a clock's seconds, once the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.lm.device

    @property
    def max_positions(self) -> int:
        """Positions the base was built for."""
        return int(self.lm.base.config.get_text_config().max_position_embeddings)

    @cached_property
    def encoder(self) -> TextEncoder:
        """Text to ids."""
        return TextEncoder(self.tokenizer)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What a gist must have been made with to be usable here."""
        return fingerprints(self.lm, self.tokenizer)

    def require_own(self, gist: GistCache) -> None:
        """Refuse a gist that another model, adapter or tokenizer made.

        Raises:
            GistMismatchError: Naming what differs.
        """
        theirs, ours = gist.info.fingerprints, self.fingerprints
        different = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
        if len(gist.layers) != backbone.num_layers(self.lm.base):
            different.append("layers")
        if different:
            raise GistMismatchError(
                f"this gist was made by model {gist.info.model!r}, which differs from "
                f"{self.name!r} in: {', '.join(different)}. Use the model it was made with, or "
                "compress the document again"
            )
