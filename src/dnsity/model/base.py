"""Loading a base model: no remote code, no pickles, no foreign kernels, nothing half there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
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

Quantization: TypeAlias = Literal["nf4"]
"""How a base can be quantised while it is loaded: 4-bit NormalFloat, as in QLoRA."""
BITSANDBYTES = ("nf4", "fp4", "int8")
"""What only bitsandbytes can load."""


def load_base(
    name: str, *, dtype: torch.dtype = torch.float32, quantization: Quantization | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal LM and its tokenizer; no remote code, no pickles, no foreign kernels.

    Args:
        name: Directory or hub id.
        dtype: Compute type.
        quantization: Quantise the linear layers, all but the vocabulary head. None takes the base
            as it is stored, which may be quantised. On a machine with a GPU a quantised base comes
            to the first one, as the library has it.

    Raises:
        BadInputError: If it is missing, is stored quantised in another way, or needs bitsandbytes
            where that is not installed.
        UnsupportedModelError: If it cannot hold gists.
    """
    config = base_config(name)
    options = _quantize(name, config, quantization, dtype)
    try:
        base, found = cast(Any, AutoModelForCausalLM).from_pretrained(
            name,
            dtype=dtype,
            attn_implementation="sdpa",
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            # What a base suggests for chatting (banned words, a time limit, beams) would change
            # answers without a word.
            generation_config=GenerationConfig(),
            **options,
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise BadInputError(f"cannot load base model {name!r}: {first_line(error)}") from error
    if found["missing_keys"]:  # the library would go on with random numbers in their place
        raise BadInputError(
            f"base model {name!r} is incomplete: {len(found['missing_keys'])} tensors are missing, "
            f"for example {min(found['missing_keys'])}; copy or download it again"
        )
    if quantization_of(base.config) in BITSANDBYTES:
        _compute_plainly(base, dtype)
    return base, load_tokenizer(name)


def base_config(name: str) -> PreTrainedConfig:
    """Read the config of a base model; refuse what must not or cannot be loaded.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it cannot hold gists, or names foreign attention code.
    """
    try:
        raw, _ = PreTrainedConfig.get_config_dict(name)
        foreign = [named for named in _named_attention(raw) if named not in ATTENTION]
        if foreign:
            raise UnsupportedModelError(
                f"the config of {name!r} asks for attention code {foreign[0]!r}; "
                f"allowed are {', '.join(a for a in ATTENTION if a)}"
            )
        config: PreTrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except UnsupportedModelError:
        raise
    except (OSError, ValueError, StrictDataclassError) as error:
        raise BadInputError(f"no usable base model at {name!r}: {first_line(error)}") from error
    verdict = require_supported(config)
    if verdict.level == "warned":
        logger.warning("%s", verdict.reason)
    return config


def quantization_of(config: PreTrainedConfig) -> str | None:
    """Name how a base is quantised: `nf4`, `fp4`, `int8`, the library's name, or None."""
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return None
    values = stored if isinstance(stored, dict) else stored.to_dict()
    if values.get("load_in_4bit"):
        return str(values.get("bnb_4bit_quant_type", "fp4"))  # the library's default
    if values.get("load_in_8bit"):
        return "int8"
    method = values.get("quant_method")
    return str(getattr(method, "value", method))


def _quantize(
    name: str, config: PreTrainedConfig, quantization: Quantization | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Build the library's option to quantise a base; none where there is nothing to do."""
    stored = quantization_of(config)
    if quantization is not None and stored not in (None, quantization):
        raise BadInputError(
            f"base model {name!r} is stored quantised as {stored}, not as {quantization}; "
            "leave the quantization out, or start from the base in full precision"
        )
    if (quantization or stored) in BITSANDBYTES:
        try:
            import bitsandbytes  # noqa: F401 - only to see whether it is there
        except ImportError as error:
            raise BadInputError(
                f"base model {name!r} cannot be loaded quantised without bitsandbytes; "
                "pip install dnsity[quant]"
            ) from error
    if quantization is None or stored is not None:
        return {}  # not None: that would hide how a base is stored
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    }


def _compute_plainly(base: PreTrainedModel, dtype: torch.dtype) -> None:
    """Let a quantised base compute in `dtype`, and keep its 4-bit weights as they are.

    A base stored quantised comes in the types it was stored with, whatever is asked for. And on a
    CPU that knows bfloat16 bitsandbytes would repack 4-bit weights in place at the first inference:
    from then on they have another fingerprint, compute in bfloat16 and pass no gradient on.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for parameter in base.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    for module in base.modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = dtype
            module.support_avx512bf16_for_cpu = False


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
    elif isinstance(config, list):
        for value in config:
            yield from _named_attention(value)
