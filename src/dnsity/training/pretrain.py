"""Pretraining of a small base from scratch: tokenizer, prose, and retrieval with full context."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from pydantic import Field
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from dnsity.config import Config
from dnsity.data.encode import TextEncoder
from dnsity.data.generators.mixture import MixtureConfig
from dnsity.data.readers.corpus import read_documents
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.training.curriculum import Stage
from dnsity.training.passes import Passes
from dnsity.training.probe import ProbeConfig
from dnsity.training.run import begin, run
from dnsity.training.settings import Settings

END = "<|end|>"


class Architecture(Config):
    """Shape of the base: a plain Qwen3, tied embeddings.

    Qwen3 normalises queries and keys, and copying from the context appears in fewer steps than with
    Llama; many heads help as well, wide ones tell needles apart (all in docs/log.md).

    Attributes:
        head_width: Width of a head; None: `hidden / heads`.
        still_beyond: Rotary pairs that turn once in more than so many tokens stand still, and those
            from a quarter of it on turn more slowly: what they compare is compared alike at every
            distance (p-RoPE, Barbero et al. 2024, 2410.06205). None: all turn.
    """

    vocabulary: int = Field(default=8192, ge=300)
    hidden: int = Field(default=256, ge=8)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=8, ge=1)
    kv_heads: int = Field(default=8, ge=1)
    head_width: int | None = Field(default=None, ge=2)
    intermediate: int = Field(default=768, ge=8)
    rope_base: float = Field(default=100_000.0, gt=0)
    still_beyond: int | None = Field(default=None, ge=4)
    positions: int = Field(default=8192, ge=64)


class PretrainConfig(Config):
    """One pretraining run."""

    architecture: Architecture
    tokenizer_characters: int = Field(default=10_000_000, ge=1000)
    data: MixtureConfig
    stages: list[Stage] = Field(min_length=1)
    probe: ProbeConfig | None = None
    training: Settings
    question_template: str = "\n\nQ: {question}\nA:"


def train_tokenizer(config: PretrainConfig) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the corpus; every digit is a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()

    def texts() -> Iterator[str]:
        for paths in config.data.corpus.values():
            left = config.tokenizer_characters // len(config.data.corpus)
            for document in itertools.chain.from_iterable(map(read_documents, paths)):
                if left <= 0:
                    break
                left -= len(document.text)
                yield document.text

    tokenizer.train_from_iterator(
        texts(),
        trainers.BpeTrainer(
            vocab_size=config.architecture.vocabulary,
            special_tokens=[END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def new_base(shape: Architecture, end_id: int) -> PreTrainedModel:
    """Build the untrained base."""
    base = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_width or shape.hidden // shape.heads,
            max_position_embeddings=shape.positions,
            rope_parameters=rope(shape.rope_base, shape.still_beyond),
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=end_id,
            pad_token_id=end_id,
        )
    )
    attend_to_alike_and_copy(base)
    return base


def rope(base: float, still_beyond: int | None) -> dict[str, Any]:
    """Describe rotary positions as transformers does; see `Architecture.still_beyond`.

    Still pairs are those that Llama 3's scaling slows down, by so much that they stand.
    """
    if still_beyond is None:
        return {"rope_type": "default", "rope_theta": base}
    return {
        "rope_type": "llama3",
        "rope_theta": base,
        "factor": 1e6,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": still_beyond,
    }


@torch.no_grad()
def attend_to_alike_and_copy(base: PreTrainedModel) -> None:
    """Start attention where copying begins: look for what is alike, hand it on as it is.

        W_Q = W_K + noise          every head looks for tokens like its own
        W_O W_V = identity / 4     and writes the one it found, which tied embeddings read back

    Mimetic initialisation (Trockman & Kolter 2023, 2305.09828). Copying of words appears in a third
    of the steps (docs/log.md). With fewer key than query heads the identity spans what they span.
    """
    shape = base.config
    groups = shape.num_attention_heads // shape.num_key_value_heads

    def per_query_head(weight: Tensor) -> Tensor:
        heads = weight.view(shape.num_key_value_heads, shape.head_dim, shape.hidden_size)
        return heads.repeat_interleave(groups, dim=0).flatten(0, 1)

    for layer in base.model.layers:
        attention = layer.self_attn
        scale = shape.hidden_size**-0.5
        alike = torch.randn_like(attention.k_proj.weight) * scale
        attention.k_proj.weight.copy_(alike)
        noise = torch.randn_like(attention.q_proj.weight) * scale
        attention.q_proj.weight.copy_(per_query_head(alike) + 0.3 * noise)
        value = torch.nn.init.orthogonal_(torch.empty_like(attention.v_proj.weight)) / 2
        attention.v_proj.weight.copy_(value)
        attention.o_proj.weight.copy_(per_query_head(value).T / groups)


def pretrain(config: PretrainConfig, output_dir: Path, *, resume: bool = False) -> Path:
    """Train tokenizer and base; write both, with the resolved config, to `output_dir`.

    Args:
        config: The run.
        output_dir: Where checkpoints and the result go.
        resume: Continue from the newest checkpoint in `output_dir`.

    Returns:
        `output_dir`, which `from_pretrained` of transformers can load.
    """
    begin(config, config.training.seed, output_dir, resume=resume)
    with PartialState().main_process_first():  # one process trains it, the others read it
        if (output_dir / "tokenizer.json").exists() and (
            resume or not PartialState().is_main_process
        ):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(output_dir)
        else:
            tokenizer = train_tokenizer(config)
            tokenizer.save_pretrained(output_dir)

    def new_model() -> GistLM:
        base = new_base(config.architecture, tokenizer.eos_token_id)
        return GistLM(
            base, GistSpec(scope="full", frame="plain", question_template=config.question_template)
        )

    trainer = run(Passes(new_model()), TextEncoder(tokenizer), config, output_dir, resume=resume)
    if trainer.args.should_save:
        trainer.whole(new_model).base.save_pretrained(output_dir)
    return output_dir
