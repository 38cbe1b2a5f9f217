"""What a gist model was trained to do: how many gists, where they sit, how long a document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from dnsity.config import Config

Placement = Literal["append", "spread"]
Scope = Literal["gist", "document", "both", "full"]
Chunking = Literal["independent", "carry"]


class GistSpec(Config):
    """The shape of compression; it travels with the checkpoint and into every gist file.

    Attributes:
        gists: Gist tokens per chunk of document.
        window_tokens: Longest chunk of document, in tokens, compressed in one pass.
        placement: `append` lets every gist see the whole chunk; with `spread`, gist i sees its own
            span i and earlier gists (Deng et al. 2412.17483 call the two coarse and fine).
        chunking: What a later chunk sees of earlier ones: nothing, or their gists (`carry`).
        scope: Where trained weights act: LoRA on gist positions, on document and gist positions,
            also when answering (`both`), or no LoRA and all weights trained (`full`).
        question_template: The text put between gists and answer; `{question}` is replaced.
    """

    gists: int = Field(default=25, ge=1, le=4096)
    window_tokens: int = Field(default=2048, ge=1)
    placement: Placement = "append"
    chunking: Chunking = "independent"
    scope: Scope = "document"
    question_template: str = "\n\nQ: {question}\nA:"

    @field_validator("question_template")
    @classmethod
    def _template_has_question(cls, template: str) -> str:
        if template.count("{question}") != 1:
            raise ValueError(f"question_template needs {{question}} exactly once, got {template!r}")
        return template
