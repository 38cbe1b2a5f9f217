"""A gist model in memory, with its tokenizer and prompt format."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dnsity.data.encode import TextEncoder
from dnsity.data.text.frame import Frame, frame_of
from dnsity.errors import BadInputError, GistMismatchError, UnsupportedModelError
from dnsity.inference.gist_cache import GistCache
from dnsity.model.attention import rotating_layers
from dnsity.model.ends import declared_ends
from dnsity.model.fingerprint import SAMPLED, fingerprints, weights_digest
from dnsity.model.finite import require_finite
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import concatenate, shared
from dnsity.model.loading_checks import embedding_rows
from dnsity.model.positions import require_shift_invariant
from dnsity.model.uneven import real_slots, twin
from dnsity.shapes import KeyValues


@dataclass(frozen=True)
class LoadedModel:
    """A model with its tokenizer, prompt format and fingerprints.

    Attributes:
        lm: The model.
        tokenizer: Its tokenizer.
        name: The name it was loaded by.
        base_name: Name of its base model.
        trained: Whether its gist tokens were trained; untrained ones are useless.
    """

    lm: GistLM
    tokenizer: PreTrainedTokenizerBase
    name: str
    base_name: str
    trained: bool = True

    def now(self) -> float:
        """Return a clock's seconds, after all queued work of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.lm.device

    @property
    def max_positions(self) -> int:
        """The base's maximum number of positions."""
        return int(self.lm.base.config.get_text_config().max_position_embeddings)

    @cached_property
    def encoder(self) -> TextEncoder:
        """Encodes text to ids."""
        return TextEncoder(self.tokenizer)

    @cached_property
    def frame(self) -> Frame:
        """The prompt format.

        Raises:
            UnsupportedModelError: If its template has tokens without an embedding in the base.
        """
        frame = frame_of(self.encoder, self.lm.spec)
        rows = embedding_rows(self.lm.base)
        beyond = [index for index in [*frame.head, *frame.question("?")] if index >= rows]
        if beyond:
            raise UnsupportedModelError(
                f"the question template has token {beyond[0]}, the model's embedding has {rows} "
                "rows; resize the embedding and train it, or use another template"
            )
        return frame

    @cached_property
    def end_ids(self) -> list[int]:
        """Tokens that end an answer: those of frame, tokenizer, config and generation config."""
        return list(dict.fromkeys([*self.frame.end_ids, *(declared_ends(self.lm.base) or ())]))

    @cached_property
    @torch.inference_mode()
    def head(self) -> KeyValues | None:
        """Keys and values of the frame's head, `[1, K, H, D]` per layer; None if it has none."""
        if not self.frame.head:
            return None
        head = self.lm.read(torch.tensor([self.frame.head], device=self.device))
        require_finite(head, f"{self.name}, beginning of the chat template")
        return head

    def after_head(self, layers: KeyValues) -> KeyValues:
        """Return the prefix of a question: the head, then a document's slots.

        Args:
            layers: Slots at positions right after the head's, `[B, K, G, D]` per layer.
        """
        if self.head is None:
            return layers
        return concatenate(shared(self.head, layers[0][0].shape[0]), layers)

    def without_head(self, prefix: KeyValues) -> KeyValues:
        """Return a prefix's slots after the head, without copying; reverses `after_head`.

        Args:
            prefix: The head and a document's slots, `[B, K, H + G, D]` per layer.
        """
        first = len(self.frame.head)
        return tuple((keys[:, :, first:], values[:, :, first:]) for keys, values in prefix)

    @torch.inference_mode()
    def read(self, ids: list[int]) -> KeyValues:
        """Return a whole document's keys and values, uncompressed and without the head's.

        Args:
            ids: The document's, as `frame.document` encodes it.
        """
        whole = self.lm.read(torch.tensor([[*self.frame.head, *ids]], device=self.device))
        require_finite(whole, f"{self.name}, the document")
        return self.without_head(whole)

    @contextmanager
    def answering(self, prefix: KeyValues | None, *, uneven: bool) -> Iterator[PreTrainedModel]:
        """Yield the model that answers from a prefix, its adapter as in answers.

        Args:
            prefix: Keys and values without the head, `[B or 1, K, G, D]` per layer.
            uneven: Whether the prefix has empty slots, see `model/uneven`.
        """
        with self.lm.answering():
            if prefix is None or not uneven:
                yield self.lm.base
                return
            # The adapter of a twin stays on or off as it was when the twin was made.
            adapted = self.lm.peft_model is not None
            base = twin(self.lm.base) if adapted else self._uneven_twin
            with real_slots(prefix, len(self.frame.head)):
                yield base

    @cached_property
    def _uneven_twin(self) -> PreTrainedModel:
        return twin(self.lm.base)

    def require_shift_invariant(self) -> None:
        """Check by short forward passes that keys can be moved; runs once, then is remembered.

        Raises:
            UnsupportedModelError: If the base uses positions for more than rotation.
        """
        _ = self._is_shift_invariant

    @cached_property
    def _is_shift_invariant(self) -> bool:
        require_shift_invariant(self.lm.base)
        return True

    @cached_property
    def rotating(self) -> list[bool]:
        """Which layers rotate their keys.

        Raises:
            UnsupportedModelError: If the keys of a layer cannot be moved.
        """
        return rotating_layers(self.lm.base)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints that a gist must have to be used with this model."""
        return {**fingerprints(self.lm, self.tokenizer), **self.frame.fingerprints}

    @cached_property
    def _earlier_fingerprints(self) -> dict[str, str]:
        own = fingerprints(self.lm, self.tokenizer, earlier=True)
        return {**own, **self.frame.fingerprints}

    @cached_property
    def weights_digest(self) -> str:
        """A digest of all weights."""
        return weights_digest(self.lm)

    def differences(self, theirs: dict[str, str]) -> list[str]:
        """Name the fingerprints that differ from another model's, possibly of an older version."""
        ours = dict(self.fingerprints)
        for key in ("weights", "adapter"):
            if key in theirs and not theirs[key].startswith(SAMPLED):
                ours[key] = self._earlier_fingerprints[key]
        return sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))

    def require_own_weights(self, gist: GistCache) -> None:
        """Refuse a gist unless all weights are those of the model that made it.

        Raises:
            BadInputError: If the file has no digest of all weights.
            GistMismatchError: If a weight differs.
        """
        theirs = gist.info.weights_sha256
        if theirs is None:
            raise BadInputError(
                "this gist has no digest of all weights (an older version made it); compress the "
                "document again, or verify it without --deep"
            )
        if theirs != self.weights_digest:
            raise GistMismatchError(
                f"this gist was made by model {gist.info.model!r}, which differs from "
                f"{self.name!r} in single weights; compress the document again"
            )

    def require_own(self, gist: GistCache) -> None:
        """Refuse a gist that another model, adapter or tokenizer made.

        Raises:
            GistMismatchError: Naming what differs.
        """
        different = self.differences(gist.info.fingerprints) + self._misfits(gist)
        if "frame" in different:
            raise GistMismatchError(
                f"this gist was made in the {gist.info.frame!r} frame of {gist.info.model!r}, "
                f"{self.name!r} is used in the {self.frame.name!r} frame"
                + (
                    ", with another chat template, system prompt or instruction"
                    if gist.info.frame == self.frame.name
                    else f"; use --frame {gist.info.frame}"
                )
                + ", or compress the document again"
            )
        if different:
            raise GistMismatchError(
                f"this gist was made by model {gist.info.model!r}, which differs from "
                f"{self.name!r} in: {', '.join(different)}. Use the model it was made with, or "
                "compress the document again"
            )

    def adopt(self, gist: GistCache) -> GistCache:
        """Accept a gist of another model as this model's own, if its shape fits.

        Answers may then be silently wrong, because keys are meaningful to the model that made them
        only.

        Raises:
            GistMismatchError: If it has other layers, heads or widths than this model's.
        """
        misfits = self._misfits(gist)
        if misfits:
            raise GistMismatchError(
                f"this gist does not fit {self.name!r}: it has other {', '.join(misfits)}, which "
                "no option allows; compress the document again"
            )
        return replace(gist, info=gist.info.model_copy(update={"fingerprints": self.fingerprints}))

    def _misfits(self, gist: GistCache) -> list[str]:
        """Name what does not fit in a gist's shape."""
        if len(gist.layers) != len(self._one_token):
            return ["layers"]
        pairs = [
            (tensor.shape, own.shape)
            for layer, one in zip(gist.layers, self._one_token, strict=True)
            for tensor, own in zip(layer, one, strict=True)
        ]
        if any(len(s) != 4 or (s[0], s[1], s[3]) != (1, own[1], own[3]) for s, own in pairs):
            return ["heads or widths"]
        return []

    @cached_property
    @torch.inference_mode()
    def _one_token(self) -> KeyValues:
        """Keys and values of one token: heads and widths may differ from layer to layer."""
        return self.lm.read(torch.tensor([[self.encoder.eos_id]], device=self.device))
