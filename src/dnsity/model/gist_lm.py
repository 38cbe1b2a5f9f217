"""The gist language model: tensors in, tensors out.

    GistLM = base causal LM + gist rows [G, hidden] + (optional) LoRA adapter

    compress:  [document][gist rows] ──▶ keys and values of the gists
    answer:    [question][answer] conditioned on them ──▶ logits

Everything that runs a model calls these two functions, with these exceptions:

    read            keys and values of a whole document, the full-context control
    answer_packed   `answer` for short examples with one long prefix, as one sequence
    generate        decoding
    run_masked      both functions as one masked sequence, the reference (`model/masked.py`)

`model/windows.py` compresses documents of any length with `compress`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.model import backbone
from dnsity.model.architectures import require_supported, sliding_window
from dnsity.model.base import quantization_of
from dnsity.model.key_values import all_slots, slots_of
from dnsity.model.loading_checks import require_all_used
from dnsity.model.lora import without_idle_modules
from dnsity.model.segments import Chunk, one_segment, two_segments
from dnsity.model.switches import Switches
from dnsity.shapes import KeyValues, Logits, PaddingMask, PrefixMask, TokenIds


class GistLM(nn.Module):
    """A base model with gist rows; see the module's picture.

    Attributes:
        base: The causal LM; with an adapter, its layers contain the LoRA weights.
        peft_model: The PEFT wrapper around `base`, or None.
        gist_rows: Trainable input embeddings of the gists, `[G, hidden]`, outside the vocabulary.
        spec: How this model compresses.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        spec: GistSpec,
        *,
        lora: Any | None = None,
        untrained: bool = False,
    ) -> None:
        """Wrap a base model.

        Args:
            base: A supported causal LM. Its embedding matrix is not changed.
            spec: Gist count, placement, chunking and scope.
            lora: A `peft.LoraConfig`; required by every scope except `full`.
            untrained: Whether no weight will be trained; a quantised base may then have scope
                `full`.

        Raises:
            UnsupportedModelError: If gists would not be safe on this architecture.
            BadInputError: If scope and adapter, or scope and a quantised base, do not fit together,
                or stored tensors of the base were not loaded.
        """
        super().__init__()
        _require_trainable(base, spec, adapted=lora is not None, untrained=untrained)
        self.spec = spec
        self.base = base
        self.peft_model: Any | None = None
        if lora is not None:
            from peft import get_peft_model

            base.requires_grad_(False)
            if spec.scope != "both":
                lora = without_idle_modules(lora, base)
            self.peft_model = get_peft_model(base, lora)
        self._switches = Switches(base, spec.scope)
        self.gist_rows = nn.Parameter(initial_gist_rows(base, spec.gists))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.base.device

    @property
    def is_sharded(self) -> bool:
        """Whether FSDP2 spreads the layers over devices."""
        return backbone.is_sharded(self.base)

    def answering(self) -> AbstractContextManager[None]:
        """Return a context in which the adapter is as in answers: off, unless scope is `both`."""
        return self._switches.acting_on("answer")

    def without_adapter(self) -> AbstractContextManager[None]:
        """Return a context without the adapter, in any scope; the teacher runs in it."""
        return self._switches.adapter_off()

    @contextmanager
    def untrained(self) -> Iterator[None]:
        """Make this thread compress as before training: initial gist rows, no adapter."""
        with self.without_adapter():
            rows = initial_gist_rows(self.base, self.spec.gists)
            with self._switches.with_gist_rows(rows):
                yield

    def frozen(self) -> AbstractContextManager[None]:
        """Return a context in which no weight requires a gradient, for several threads at once."""
        return self._switches.frozen(self.parameters())

    def twin(self, implementation: str) -> GistLM:
        """Return a copy that shares all weights and uses another attention implementation.

        See `backbone.twin`. The copy's adapter is turned on and off separately.
        """
        weights: list[Any] = [*self.parameters(), *self.buffers()]
        with self._switches.lock:
            own = copy.deepcopy(self, {id(tensor): tensor for tensor in weights})
        own.base.set_attn_implementation(implementation)
        return own

    def enable_checkpointing(self) -> None:
        """Recompute layers in the backward pass: less memory, more time."""
        backbone.enable_checkpointing(self.base)

    def compress(
        self,
        document_ids: TokenIds,
        document_mask: PaddingMask | None = None,
        *,
        gists: int | None = None,
        offset: int | Tensor = 0,
        head: int = 0,
        prefix: KeyValues | None = None,
    ) -> KeyValues:
        """Compress one chunk of each document in a batch into gists.

        Args:
            document_ids: Token ids `[B, N]`, left-padded if lengths differ; a copy of the head, if
                there is one, precedes each chunk.
            document_mask: True at real tokens; None if there is no padding.
            gists: Use only the first rows (default: all of the spec's).
            offset: Position of the first gist, after the head and the gists of earlier chunks: one
                number, or one per document `[B]`.
            head: How many of each document's first real tokens are the head's copy.
            prefix: Keys and values of head and earlier gists, if this chunk may attend to them
                (`carry`).

        Returns:
            Per layer the gists' keys and values, `[B, K, G, D]`.
        """
        count = self.spec.gists if gists is None else gists
        batch, tokens = document_ids.shape
        device = document_ids.device
        origin = torch.as_tensor(offset, device=device).reshape(-1, 1)
        rows = self._switches.gist_rows
        rows = (self.gist_rows if rows is None else rows)[:count].to(self.base.dtype)
        chunk = Chunk(
            ids=document_ids,
            real=real_tokens(document_ids, document_mask),
            padded=document_mask is not None,
            positions=(origin + torch.arange(-tokens, 0, device=device)).expand(batch, -1),
            rows=rows.expand(batch, -1, -1),
            row_positions=(origin + torch.arange(count, device=device)).expand(batch, -1),
            prefix=prefix,
            head=head,
        )
        if self.spec.placement == "append" and self.spec.scope != "gist":
            return one_segment(self.base, chunk, self._switches)
        return two_segments(self.base, chunk, self.spec, self._switches)

    def read(self, document_ids: TokenIds, document_mask: PaddingMask | None = None) -> KeyValues:
        """Prefill documents uncompressed: the full-context control, in the form `answer` takes.

        The document is at positions 0..N-1 (left padding before it), the question after it.

        Args:
            document_ids: Token ids `[B, N]`, left-padded if lengths differ.
            document_mask: True at real tokens; None if there is no padding.

        Returns:
            Per layer the document's keys and values, `[B, K, N, D]`.
        """
        positions = torch.arange(document_ids.shape[1], device=document_ids.device)
        with self.answering():
            return backbone.segment_keys(
                self.base,
                self.base.get_input_embeddings()(document_ids),
                positions.expand(document_ids.shape[0], -1),
                document_mask,
            )

    def answer(
        self,
        prefix: KeyValues | None,
        input_ids: TokenIds,
        attention_mask: PaddingMask | None = None,
        *,
        prefix_mask: PrefixMask | None = None,
        logits_to_keep: int = 0,
        base: PreTrainedModel | None = None,
    ) -> Logits:
        """Run questions (and answers, in training) conditioned on gists or a whole document.

        Args:
            prefix: Keys and values for each question, `[B, K, G, D]`; None for no document.
            input_ids: Token ids `[B, Q]`, left-padded if lengths differ.
            attention_mask: True at real tokens of `input_ids`.
            prefix_mask: True at real slots of the prefix; None: all are.
            logits_to_keep: Return logits of the last tokens only; 0: of all.
            base: Run this twin of the base, which attends in another way (`model/uneven`).

        Returns:
            Logits `[B, Q or logits_to_keep, vocab]`.
        """
        mask = real_tokens(input_ids, attention_mask)
        slots = slots_of(prefix)
        positions = slots + (mask.cumsum(dim=1) - 1).clamp(min=0)
        before = all_slots(prefix, mask) if prefix_mask is None else prefix_mask
        seen: backbone.Masks = torch.cat([before, mask], dim=1)
        if attention_mask is not None and sliding_window(self.base.config) is not None:
            # transformers counts a sliding window in slots, so padding between prefix and question
            # would use it up.
            slot = torch.arange(slots, device=mask.device).expand(mask.shape[0], -1)
            own = mask[:, None].expand(-1, mask.shape[1], -1).tril()
            seen = backbone.masks(
                self.base,
                torch.cat([before[:, None].expand(-1, mask.shape[1], -1), own], dim=2),
                positions,
                torch.cat([slot, positions], dim=1),
            )
        with self.answering():
            return backbone.segment_logits(
                base or self.base, input_ids, positions, seen, prefix, logits_to_keep
            )

    def answer_packed(
        self, prefix: KeyValues | None, examples: Sequence[Sequence[int]], answers: Sequence[int]
    ) -> Float[Tensor, "S vocab"]:
        """Run short examples after one long prefix as one sequence: its keys are not copied.

                 d1 d2 | a1 a2 | b1
             a1   x  x    x
             a2   x  x    x  x
             b1   x  x            x        logits as of `answer`, example by example

        Args:
            prefix: Keys and values that precede all examples, `[1, K, G, D]`; None for nothing.
            examples: Token ids of each.
            answers: How many tokens at each example's end are its answer.

        Returns:
            The logits that predict the answers' tokens, in order; S counts them all.
        """
        device = self.device
        lengths = [len(example) for example in examples]
        slots = slots_of(prefix)
        example_of = torch.arange(len(examples)).repeat_interleave(torch.tensor(lengths))
        own = (example_of[:, None] == example_of).tril()
        seen = torch.cat([torch.ones(len(own), slots, dtype=torch.bool), own], dim=1)
        positions = slots + torch.cat([torch.arange(n) for n in lengths])[None].to(device)
        before = torch.arange(slots, device=device)[None]
        ends = torch.tensor(lengths).cumsum(dim=0).tolist()
        kept = [torch.arange(end - n - 1, end - 1) for end, n in zip(ends, answers, strict=True)]
        with self.answering():
            return backbone.segment_logits(
                self.base,
                torch.tensor([[token for ids in examples for token in ids]], device=device),
                positions,
                backbone.masks(
                    self.base,
                    seen[None].to(device),
                    positions,
                    torch.cat([before, positions], dim=1),
                ),
                prefix,
                torch.cat(kept).to(device),
            )[0]

    def generate(
        self,
        prefix: KeyValues | None,
        input_ids: TokenIds,
        attention_mask: PaddingMask,
        *,
        prefix_mask: Bool[Tensor, "B G"] | None = None,
        base: PreTrainedModel | None = None,
        **settings: Any,
    ) -> Int[Tensor, "B new"]:
        """Decode answers conditioned on gists or a whole document, with transformers' `generate`.

        Args:
            prefix: Keys and values for each prompt, `[B, K, G, D]`, never written to; None for no
                document.
            input_ids: Prompts `[B, Q]`, left-padded.
            attention_mask: True at real tokens of `input_ids`.
            prefix_mask: True at real slots of the prefix; None: all are.
            base: Run this twin of the base, which attends in another way (`model/uneven`).
            settings: Further arguments of `generate`.

        Returns:
            The new tokens `[B, T]`.
        """
        before = all_slots(prefix, attention_mask) if prefix_mask is None else prefix_mask
        with self.answering():
            return backbone.generated(
                base or self.base,
                prefix,
                input_ids,
                torch.cat([before, attention_mask], dim=1),
                **settings,
            )


def _require_trainable(
    base: PreTrainedModel, spec: GistSpec, *, adapted: bool, untrained: bool
) -> None:
    """Refuse a base, or a combination of base, spec and adapter; see `GistLM`."""
    require_supported(base.config)
    require_all_used(base)
    backbone.require_layers(base)
    if spec.chunking == "carry" and sliding_window(base.config) is not None:
        raise BadInputError("chunking 'carry' needs full attention; use 'independent'")
    if (spec.scope == "full") == adapted:
        raise BadInputError(
            f"scope {spec.scope!r} {'takes no' if adapted else 'needs a'} LoRA configuration"
        )
    quantization = quantization_of(base.config)
    if spec.scope == "full" and quantization is not None and not untrained:
        raise BadInputError(
            f"scope 'full' trains all weights, which a base quantised as {quantization} does "
            "not allow; use scope 'document', 'gist' or 'both', or load the base unquantised"
        )


@torch.no_grad()
def initial_gist_rows(base: PreTrainedModel, count: int) -> Float[Tensor, "G hidden"]:
    """Return noisy embeddings of different real tokens: equal rows would stay equal for long."""
    vocab = int(base.config.get_text_config().vocab_size)
    ids = torch.linspace(vocab // 10, vocab - 1, count, device=base.device).long()
    rows: Tensor = base.get_input_embeddings()(ids).detach().float().clone()
    noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    return rows + 0.1 * rows.std() * noise.to(rows.device)


def real_tokens(ids: TokenIds, mask: PaddingMask | None) -> PaddingMask:
    """Return the padding mask, or an all-True one."""
    return torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
