"""Pretraining of a small base from scratch: tokenizer, prose and retrieval in full context."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import PartialState
from pydantic import Field, model_validator
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from dnsity.config import Config
from dnsity.data.encode import TextEncoder
from dnsity.data.generators.mixture import MixtureConfig
from dnsity.data.readers.corpus import read_documents
from dnsity.gist.spec import GistSpec
from dnsity.model.gist_lm import GistLM
from dnsity.training.curriculum import Stage, require_records_used
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.probe import ProbeConfig
from dnsity.training.run import begin, run
from dnsity.training.settings import Settings

END = "<|end|>"


class Architecture(Config):
    """Shape of the base: a Qwen3 with tied embeddings.

    Qwen3 normalises queries and keys, and learns to copy from the context in fewer steps than
    Llama. Many heads help as well (docs/log.md).
    """

    vocabulary: int = Field(default=8192, ge=300)
    hidden: int = Field(default=256, ge=8)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=8, ge=1)
    kv_heads: int = Field(default=8, ge=1)
    intermediate: int = Field(default=768, ge=8)
    rope_base: float = Field(default=100_000.0, gt=0)
    positions: int = Field(default=8192, ge=64)


class PretrainConfig(Config):
    """One pretraining run.

    Attributes:
        architecture: Shape of the base.
        tokenizer_characters: Characters of the corpus that the tokenizer is trained on.
        data: Training documents.
        stages: The curriculum.
        probe: Held-out documents to ask while training; None: none.
        training: The optimiser.
        question_template: Text around a question.
    """

    architecture: Architecture
    tokenizer_characters: int = Field(default=10_000_000, ge=1000)
    data: MixtureConfig
    stages: list[Stage] = Field(min_length=1)
    probe: ProbeConfig | None = None
    training: Settings
    question_template: str = "\n\nQ: {question}\nA:"

    @model_validator(mode="after")
    def _trains_on_its_records(self) -> PretrainConfig:
        require_records_used(self.data, self.stages)
        return self


def train_tokenizer(config: PretrainConfig) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the corpus; every digit is a separate token."""
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
    """Return the untrained base."""
    base = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.hidden // shape.heads,
            max_position_embeddings=shape.positions,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_base},
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=end_id,
            pad_token_id=end_id,
        )
    )
    mimetic_init(base)
    return base


@torch.no_grad()
def mimetic_init(base: PreTrainedModel) -> None:
    """Initialise attention so that it copies tokens which resemble the query.

        W_Q = W_K + noise          every head attends to tokens similar to its own
        W_O W_V = identity / 4     and passes their embedding on, which tied embeddings decode

    Mimetic initialisation (Trockman & Kolter 2023, 2305.09828): the model learns to copy words in
    a third of the steps (docs/log.md). With fewer key than query heads, the identity covers the
    subspace that the key heads span.
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
    """Train tokenizer and base; write both, and the resolved configuration, to `output_dir`.

    Args:
        config: The run.
        output_dir: Directory of checkpoints and result.
        resume: Continue from the newest checkpoint in `output_dir`.

    Returns:
        `output_dir`, which `from_pretrained` of transformers loads.
    """
    begin(config, config.training.seed, output_dir, resume=resume)
    with PartialState().main_process_first():  # one process trains it, the others load it
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

    trainer = run(
        ModelWithLoss(new_model()), TextEncoder(tokenizer), config, output_dir, resume=resume
    )
    if trainer.args.should_save:
        trainer.unsharded(new_model).base.save_pretrained(output_dir)
    return output_dir
