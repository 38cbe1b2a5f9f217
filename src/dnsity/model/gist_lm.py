"""The gist language model: tensors in, tensors out.

    GistLM = base causal LM + gist rows [G, hidden] + (optional) LoRA adapter

    compress:  [document][gist rows] ──▶ keys and values of the gists
    answer:    [question][answer] behind those keys and values ──▶ logits

Training, inference, evaluation and benchmarks all call these two functions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock, local
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from dnsity.errors import BadInputError
from dnsity.gist.layout import Layout
from dnsity.gist.mask import gist_sees_document, visible
from dnsity.gist.spec import GistSpec
from dnsity.model import backbone
from dnsity.model.architectures import require_supported, sliding_window
from dnsity.model.base import quantization_of
from dnsity.model.key_values import concatenate
from dnsity.model.stored import require_all_used
from dnsity.shapes import KeyValues, Logits, PaddingMask, PrefixMask, TokenIds

_KEYS_AND_VALUES = ("k_proj", "v_proj", "qkv_proj", "query_key_value")
"""How transformers' decoders name the projections whose output a cache keeps."""


class GistLM(nn.Module):
    """A base model with gist rows; see the module's picture.

    Attributes:
        base: The causal LM; with an adapter, its layers hold the LoRA weights.
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
            base: A supported causal LM. Its embedding matrix is not touched.
            spec: Gist count, placement, chunking and scope.
            lora: A `peft.LoraConfig`; needed by every scope but `full`.
            untrained: No weight will be trained, so that a quantised base may have scope `full`.

        Raises:
            UnsupportedModelError: If gists would not be safe on this architecture.
            BadInputError: If scope and adapter, or scope and a quantised base, do not fit together,
                or stored tensors of the base were not loaded.
        """
        super().__init__()
        require_supported(base.config)
        require_all_used(base)
        backbone.require_layers(base)
        if spec.chunking == "carry" and sliding_window(base.config) is not None:
            raise BadInputError("chunking 'carry' needs full attention; use 'independent'")
        if (spec.scope == "full") != (lora is None):
            raise BadInputError(
                f"scope {spec.scope!r} {'takes no' if lora else 'needs a'} LoRA configuration"
            )
        quantization = quantization_of(base.config)
        if spec.scope == "full" and quantization is not None and not untrained:
            raise BadInputError(
                f"scope 'full' trains all weights, which a base quantised as {quantization} does "
                "not allow; use scope 'document', 'gist' or 'both', or load the base unquantised"
            )
        self.spec = spec
        self.base = base
        self.peft_model: Any | None = None
        if lora is not None:
            from peft import get_peft_model

            base.requires_grad_(False)
            self.peft_model = get_peft_model(base, self._without_what_never_acts(lora))
        self._switch = RLock()
        self._here = local()  # what a thread compresses with instead of the trained rows
        self._thawed: list[nn.Parameter] = []
        self._freezing = 0
        self.gist_rows = nn.Parameter(self._distinct_rows(spec.gists))

    def _without_what_never_acts(self, lora: Any) -> Any:
        """Leave modules out of an adapter that no answer would ever feel.

        Of the last layer a compress pass keeps keys and values only. So where the adapter is off in
        answers, its other weights in that layer would never get a gradient.
        """
        if self.spec.scope == "both":
            return lora
        from peft.tuners.tuners_utils import check_target_module_exists

        last = backbone.num_layers(self.base) - 1
        idle = {
            f"layers.{last}.{name}"
            for name, module in backbone.last_layer(self.base).named_modules()
            if isinstance(module, nn.Linear) and not any(part in name for part in _KEYS_AND_VALUES)
        }
        # Where none of them is a target there is nothing to leave out, of which PEFT would warn.
        # Its warning is not caught: catching changes the filters of the whole process.
        whole = [name for name, _ in self.base.named_modules() if name.endswith(tuple(idle))]
        aimed = lora.target_modules in (None, "all-linear") or any(
            check_target_module_exists(lora, name) for name in whole
        )
        if aimed:
            lora = copy.copy(lora)
            lora.exclude_modules = {*(lora.exclude_modules or ()), *idle}
        return lora

    @torch.no_grad()
    def _distinct_rows(self, count: int) -> Tensor:
        """Start gist rows from different real tokens: equal rows would stay equal for long."""
        embed = self.base.get_input_embeddings()
        vocab = int(self.base.config.get_text_config().vocab_size)
        ids = torch.linspace(vocab // 10, vocab - 1, count, device=self.device).long()
        rows: Tensor = embed(ids).detach().float().clone()
        return rows + 0.1 * rows.std() * torch.randn(
            rows.shape, generator=torch.Generator().manual_seed(0)
        ).to(rows.device)

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self.base.device

    def answering(self) -> AbstractContextManager[None]:
        """Run the base as it is when it answers: adapter off, unless the scope is `both`."""
        return self._adapter("answer")

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Run the base without its adapter, whatever the scope: the teacher's view."""
        if self.peft_model is None:
            yield
            return
        with self._switch, backbone.adapter_off(self.base):
            yield

    @contextmanager
    def untrained(self) -> Iterator[None]:
        """Let this thread compress as before any training: rows as they start, no adapter."""
        with self.untouched():
            before = getattr(self._here, "rows", None)
            self._here.rows = self._distinct_rows(self.spec.gists)
            try:
                yield
            finally:
                self._here.rows = before

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no weight ask for a gradient; of several threads the last to leave ends it."""
        with self._switch:
            self._freezing += 1
        try:
            with self._switch:
                asking = [weight for weight in self.parameters() if weight.requires_grad]
                self._thawed += asking
                for weight in asking:
                    weight.requires_grad_(False)
            yield
        finally:
            with self._switch:
                self._freezing -= 1
                if not self._freezing:
                    for weight in self._thawed:
                        weight.requires_grad_(True)
                    self._thawed = []

    def twin(self, implementation: str) -> GistLM:
        """Return a copy that shares all weights and attends through another implementation.

        See `backbone.twin`. Its adapter has a switch of its own.
        """
        held: list[Any] = [*self.parameters(), *self.buffers()]
        memo: dict[int, Any] = {id(tensor): tensor for tensor in held}
        memo |= {id(self._switch): RLock(), id(self._here): local()}
        with self._switch:
            own = copy.deepcopy(self, memo)
        own.base.set_attn_implementation(implementation)
        return own

    @contextmanager
    def _adapter(self, part: Literal["document", "gist", "answer"]) -> Iterator[None]:
        """Let the adapter act on `part` as the scope says.

        The switch is one for the whole model, so it is locked: a document compressed while an
        answer is streamed waits for the answer's end instead of being read without the adapter.
        """
        acts_on = {"gist": ("gist",), "document": ("document", "gist")}.get(self.spec.scope)
        if self.peft_model is None:
            yield
            return
        with self._switch:
            if acts_on is None or part in acts_on:
                yield
            else:
                with self.untouched():
                    yield

    def _document_graph(self, prefix: KeyValues | None) -> AbstractContextManager[Any]:
        """Keep no graph where nothing is trained: scope `gist`, and no earlier gists are read."""
        unneeded = self.spec.scope == "gist" and prefix is None
        return torch.no_grad() if unneeded else nullcontext()

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
                number, or one per row `[B]`.
            head: How many of each row's first real tokens are the head's copy.
            prefix: Keys and values of head and earlier gists, if this chunk may see them (`carry`).

        Returns:
            Per layer the gists' keys and values, `[B, K, G, D]`.
        """
        count = self.spec.gists if gists is None else gists
        batch = document_ids.shape[0]
        device = document_ids.device
        mask = real_tokens(document_ids, document_mask)
        seen_before = 0 if prefix is None else prefix[0][0].shape[-2]
        before = torch.ones(batch, seen_before, dtype=torch.bool, device=device)
        origin = torch.as_tensor(offset, device=device).reshape(-1, 1)
        document_positions = (
            origin + torch.arange(-document_ids.shape[1], 0, device=device)
        ).expand(batch, -1)
        gist_positions = (origin + torch.arange(count, device=device)).expand(batch, -1)
        embed = self.base.get_input_embeddings()  # an adapter may act on it, too
        own_rows: Tensor | None = getattr(self._here, "rows", None)
        rows = self.gist_rows if own_rows is None else own_rows
        rows = rows[:count].to(self.base.dtype).expand(batch, -1, -1)
        if self.spec.placement == "append" and self.spec.scope != "gist":
            # Each gist sees all before it, under the same weights: no document key outlives its
            # layer, and nothing is copied. See docs/adr/0006-one-segment.md for what it costs.
            own = torch.ones(batch, count, dtype=torch.bool, device=device)
            with self._adapter("document"):
                return backbone.segment_keys(
                    self.base,
                    torch.cat([embed(document_ids), rows], dim=1),
                    torch.cat([document_positions, gist_positions], dim=1),
                    None if document_mask is None else torch.cat([before, mask, own], dim=1),
                    prefix,
                    keep=count,
                )
        # The gists' own pass ends inside the last layer, before it looks back there.
        unread = int(backbone.ends_early(self.base))
        with self._adapter("document"), self._document_graph(prefix):
            document = backbone.segment_keys(
                self.base,
                embed(document_ids),
                document_positions,
                None if document_mask is None else torch.cat([before, mask], dim=1),
                prefix,
                unread=unread,
            )
        before_positions = torch.arange(seen_before, device=device).expand(batch, -1)
        seen = torch.cat(
            [
                before[:, None].expand(-1, count, -1),
                gist_sees_document(count, mask, self.spec.placement, head),
                torch.ones(count, count, dtype=torch.bool, device=device)
                .tril()
                .expand(batch, -1, -1),
            ],
            dim=2,
        )
        with self._adapter("gist"):
            return backbone.segment_keys(
                self.base,
                rows,
                gist_positions,
                backbone.masks(
                    self.base,
                    seen,
                    gist_positions,
                    torch.cat([before_positions, document_positions, gist_positions], dim=1),
                ),
                document if prefix is None else concatenate(prefix[: len(document)], document),
            )

    def read(self, document_ids: TokenIds, document_mask: PaddingMask | None = None) -> KeyValues:
        """Read documents uncompressed: the full-context control, in the form `answer` takes.

        The document stands at positions 0..N-1 (left padding before it), the question after it.

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
        """Run questions (and answers, in training) behind gists, or behind a document read in full.

        Args:
            prefix: Keys and values of each row's gists, `[B, K, G, D]`; None for no document.
            input_ids: Token ids `[B, Q]`, left-padded if lengths differ.
            attention_mask: True at real tokens of `input_ids`.
            prefix_mask: True at real slots of the prefix; None: all are.
            logits_to_keep: Logits of only the last so many tokens; 0 for all.
            base: Run this copy of the base, which attends in another way (`model/uneven`).

        Returns:
            Logits `[B, Q or logits_to_keep, vocab]`.
        """
        mask = real_tokens(input_ids, attention_mask)
        slots = 0 if prefix is None else prefix[0][0].shape[-2]
        positions = slots + (mask.cumsum(dim=1) - 1).clamp(min=0)
        before = (
            torch.ones(mask.shape[0], slots, dtype=torch.bool, device=mask.device)
            if prefix_mask is None
            else prefix_mask
        )
        seen: backbone.Masks = torch.cat([before, mask], dim=1)
        if attention_mask is not None and sliding_window(self.base.config) is not None:
            # Padding between prefix and question must not use up the window, as it would if the
            # library counted it in slots.
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
                base or self.base,
                input_ids,
                positions,
                seen,
                prefix,
                logits_to_keep,
            )

    def side_by_side(
        self, prefix: KeyValues | None, rows: Sequence[Sequence[int]], answers: Sequence[int]
    ) -> Float[Tensor, "S vocab"]:
        """Run short rows behind one long prefix as one sequence: its keys are not copied for each.

                 d1 d2 | a1 a2 | b1
             a1   x  x    x
             a2   x  x    x  x
             b1   x  x            x        logits as of `answer`, row by row

        Args:
            prefix: Keys and values all rows stand behind, `[1, K, G, D]`; None for nothing.
            rows: Token ids of each row.
            answers: How many tokens at each row's end are its answer.

        Returns:
            The logits that predict the answers' tokens, row after row; S counts them all.
        """
        device = self.device
        lengths = [len(row) for row in rows]
        slots = 0 if prefix is None else prefix[0][0].shape[-2]
        row_of = torch.arange(len(rows)).repeat_interleave(torch.tensor(lengths))
        own = (row_of[:, None] == row_of).tril()
        seen = torch.cat([torch.ones(len(own), slots, dtype=torch.bool), own], dim=1)
        positions = slots + torch.cat([torch.arange(n) for n in lengths])[None].to(device)
        before = torch.arange(slots, device=device)[None]
        ends = torch.tensor(lengths).cumsum(dim=0).tolist()
        kept = [torch.arange(end - n - 1, end - 1) for end, n in zip(ends, answers, strict=True)]
        with self.answering():
            return backbone.segment_logits(
                self.base,
                torch.tensor([[token for row in rows for token in row]], device=device),
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

    def masked(self, input_ids: TokenIds, layout: Layout, *, logits_to_keep: int = 0) -> Logits:
        """Run document, gists and questions as one masked sequence: the reference for both passes.

        Args:
            input_ids: Ids `[B, T]` in the layout's token order; ids at gist slots are ignored.
            layout: Where everything stands; the same for all rows.
            logits_to_keep: Logits of only the last so many tokens; 0 for all.

        Returns:
            Logits `[B, T or logits_to_keep, vocab]`.

        Raises:
            BadInputError: For scopes whose adapter acts on part of the tokens only, which a single
                sequence cannot express.
        """
        if self.spec.scope not in ("full", "both"):
            raise BadInputError(f"scope {self.spec.scope!r} needs the two-pass path")
        embeds = self.base.get_input_embeddings()(input_ids)
        rows = self.gist_rows[: layout.gists].to(embeds.dtype)
        pieces = [
            rows.expand(embeds.shape[0], -1, -1)
            if segment.kind == "gist"
            else embeds[:, segment.start : segment.stop]
            for segment in layout.segments()
        ]
        positions = torch.tensor([layout.positions()], device=embeds.device)
        return backbone.masked_logits(
            self.base,
            torch.cat(pieces, dim=1),
            positions,
            backbone.masks(
                self.base, visible(layout)[None].to(embeds.device), positions, positions
            ),
            logits_to_keep,
        )


def real_tokens(ids: TokenIds, mask: PaddingMask | None) -> PaddingMask:
    """Return the padding mask, or an all-True one."""
    return torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
