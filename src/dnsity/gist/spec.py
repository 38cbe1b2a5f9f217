"""What a gist model was trained to do: how many gists, where they sit, how long a document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dnsity.config import Config

Placement = Literal["append", "spread"]
Scope = Literal["gist", "document", "both", "full"]
Chunking = Literal["independent", "carry"]
FrameName = Literal["auto", "chat", "plain"]


class GistSpec(Config):
    """The shape of compression; it travels with the checkpoint and into every gist file.

    Attributes:
        gists: Gist tokens per window of document.
        window_tokens: How many document tokens they stand for; a longer document fills several
            windows.
        chunk_tokens: Longest stretch read in one pass; the chunks of a window share its gists
            (None: a window is read at once).
        placement: `append` lets every gist see the whole chunk; with `spread`, gist i sees its own
            span i and earlier gists (Deng et al. 2412.17483 call the two coarse and fine).
        chunking: What a later chunk sees of earlier ones: nothing, or their gists (`carry`).
        scope: Where trained weights act: LoRA on gist positions, on document and gist positions,
            also when answering (`both`), or no LoRA and all weights trained (`full`).
        question_template: In the plain frame, the text between gists and answer; `{question}` is
            replaced.
        frame: `chat` puts document and question into the tokenizer's chat template, `plain` uses
            `question_template`; `auto` is chat where the tokenizer has a template. See
            `data.frame`.
        system: System prompt of the chat frame (None: what the template writes by itself).
        instruction: Text between document and question in the chat frame (None: none).
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
        """Replace the frame `auto` by what it is for a tokenizer."""
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
