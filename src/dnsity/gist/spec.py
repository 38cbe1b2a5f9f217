"""The compression settings of a gist model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dnsity.config import Config

Placement = Literal["append", "spread"]
Scope = Literal["gist", "document", "both", "full"]
Chunking = Literal["independent", "carry"]
FrameName = Literal["auto", "chat", "plain"]


class GistSpec(Config):
    """Compression settings, stored in the checkpoint and in every gist file.

    Attributes:
        gists: Gist tokens per window of the document.
        window_tokens: Document tokens per window; a longer document has several windows.
        chunk_tokens: Maximum document tokens per forward pass. The chunks of a window share its
            gists (None: one chunk per window).
        placement: `append`: every gist sees the whole chunk. `spread`: gist i sees span i of the
            chunk, and earlier gists (Deng et al. 2412.17483 call the two coarse and fine).
        chunking: What later chunks see of earlier ones: nothing (`independent`), or their gists
            (`carry`).
        scope: Where trained weights apply: LoRA on gist positions (`gist`), on document and gist
            positions (`document`), also when answering (`both`), or all weights and no LoRA
            (`full`).
        question_template: Text between gists and answer in the plain format; `{question}` is
            replaced.
        frame: Prompt format. `chat` uses the tokenizer's chat template, `plain` uses
            `question_template`, `auto` is chat if the tokenizer has a template. See
            `data.text.frame`.
        system: System prompt of the chat format (None: that of the template).
        instruction: Text between document and question in the chat format (None: no text).
    """

    gists: int = Field(default=25, ge=1, le=4096)
    window_tokens: int = Field(default=2048, ge=1)
    chunk_tokens: int | None = Field(default=None, ge=1)
    placement: Placement = "append"
    chunking: Chunking = "independent"
    scope: Scope = "document"
    question_template: str = "\n\nQ: {question}\nA:"
    frame: FrameName = "auto"
    system: str | None = None
    instruction: str | None = None

    def settled(self, has_chat_template: bool) -> GistSpec:
        """Replace the prompt format `auto` by `chat` or `plain`."""
        if self.frame != "auto":
            return self
        return self.model_copy(update={"frame": "chat" if has_chat_template else "plain"})

    @field_validator("question_template")
    @classmethod
    def _template_has_question(cls, template: str) -> str:
        if template.count("{question}") != 1:
            raise ValueError(f"question_template needs {{question}} exactly once, got {template!r}")
        return template

    @model_validator(mode="after")
    def _chunks_fill_a_window(self) -> GistSpec:
        chunk = self.chunk_tokens
        if chunk is not None and (
            self.window_tokens % chunk or self.window_tokens // chunk > self.gists
        ):
            raise ValueError(
                f"window_tokens={self.window_tokens} must be a multiple of chunk_tokens={chunk}, "
                f"with at least one of the {self.gists} gists for each chunk"
            )
        return self
