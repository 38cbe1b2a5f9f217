"""Loading a base model: no remote code, no pickles, no foreign kernels, nothing half there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dnsity.errors import BadInputError, UnsupportedModelError, first_line
from dnsity.model.architectures import require_supported

logger = logging.getLogger(__name__)

ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3")
"""Attention implementations a config may name; others could name code on a hub."""
ATTENTION_KEYS = ("_attn_implementation_internal", "_attn_implementation", "attn_implementation")


def load_base(
    name: str, *, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal LM and its tokenizer; no remote code, no pickles, no foreign kernels.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it cannot hold gists.
    """
    try:
        raw, _ = PreTrainedConfig.get_config_dict(name)
        foreign = [named for named in _named_attention(raw) if named not in ATTENTION]
        if foreign:
            raise UnsupportedModelError(
                f"the config of {name!r} asks for attention code {foreign[0]!r}; "
                f"allowed are {', '.join(a for a in ATTENTION if a)}"
            )
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except UnsupportedModelError:
        raise
    except (OSError, ValueError, StrictDataclassError) as error:
        raise BadInputError(f"no usable base model at {name!r}: {first_line(error)}") from error
    verdict = require_supported(config)
    if verdict.level == "warned":
        logger.warning("%s", verdict.reason)
    try:
        base, found = cast(Any, AutoModelForCausalLM).from_pretrained(
            name,
            dtype=dtype,
            attn_implementation="sdpa",
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInputError(f"cannot load base model {name!r}: {first_line(error)}") from error
    if found["missing_keys"]:  # the library would go on with random numbers in their place
        raise BadInputError(
            f"base model {name!r} is incomplete: {len(found['missing_keys'])} tensors are missing, "
            f"for example {min(found['missing_keys'])}; copy or download it again"
        )
    return base, load_tokenizer(name)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a base model.

    Raises:
        BadInputError: If it is missing or damaged.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            name, trust_remote_code=False
        )
    except Exception as error:  # a damaged tokenizer.json raises a bare Exception
        raise BadInputError(
            f"cannot load the tokenizer of base model {name!r}: {first_line(error)}"
        ) from error
    return tokenizer


def _named_attention(config: Any) -> Iterator[Any]:
    """Yield every attention implementation that a config names, in its parts as well."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ATTENTION_KEYS:
                yield value
            else:
                yield from _named_attention(value)
