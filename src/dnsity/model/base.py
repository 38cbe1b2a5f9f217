"""Loading a base model: without remote code, pickles or foreign kernels, and complete."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dnsity.errors import BadInputError, UnsupportedModelError, first_line
from dnsity.model import gguf_file, merged_adapter
from dnsity.model.architectures import require_supported
from dnsity.model.ends import ends_in, stored_generation
from dnsity.model.loading_checks import note_unused, require_fit, require_whole
from dnsity.model.names import Source, source

logger = logging.getLogger(__name__)

DeviceMap: TypeAlias = str | int | torch.device | dict[str, Any]
"""Placement of the layers of a model, as in transformers."""
COMPUTE_TYPES = (torch.float32, torch.bfloat16, torch.float16)

ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3")
"""Attention implementations that a config may name; others could name code on a hub."""
ATTENTION_KEYS = ("_attn_implementation_internal", "_attn_implementation", "attn_implementation")

Quantization: TypeAlias = Literal["nf4"]
"""Quantisation of a base while loading: 4-bit NormalFloat, as in QLoRA."""
BITSANDBYTES = ("nf4", "fp4", "int8")
"""Formats that need bitsandbytes."""


def load_base(
    name: str,
    *,
    dtype: torch.dtype | str = torch.float32,
    quantization: Quantization | None = None,
    device_map: DeviceMap | None = None,
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal LM and its tokenizer, without remote code, pickles or foreign kernels.

    A LoRA adapter in the folder of the base is merged into the weights. Stored tensors that the
    config has no place for are recorded on the model; `GistLM` refuses such a base.

    The model's `generation_config` only contains the ids that end an answer: those that its config
    and its generation_config.json declare, as a sorted list, or None.

    Args:
        name: Short name, .gguf file, directory or hub id.
        dtype: Compute type, its name, or `auto` for the type of the stored weights.
        quantization: Quantise the linear layers except the vocabulary head. None loads the base as
            stored, which may be quantised. On a machine with a GPU, transformers places a quantised
            base on the first one.
        device_map: Placement of the layers, as in transformers (None: the CPU).
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If the base is missing, incomplete or quantised in another way, if its folder
            has an adapter that cannot be merged, if bitsandbytes or gguf is needed and not
            installed, or if it does not fit into memory.
        UnsupportedModelError: If it does not support gists, or its tokenizer is of another model.
    """
    files = source(name)
    with gguf_file.reading(files) if files.gguf else nullcontext():
        config = base_config(name, revision=revision)
        compute = compute_dtype(dtype, config)
        if files.gguf:
            base = _load_gguf(files, config, compute, quantization, device_map)
        else:
            options = _quantize(name, config, quantization, compute)
            base = _load_folder(name, files, config, compute, device_map, revision, options)
        tokenizer = load_tokenizer(name, revision=revision)
    if any(parameter.is_meta for parameter in base.parameters()):
        raise BadInputError(
            f"base model {name!r} does not fit into memory with device_map {device_map!r}: some "
            "layers would stay on disk; use a smaller model, quantization or more memory"
        )
    if quantization_of(base.config) in BITSANDBYTES:
        _set_compute_type(base, compute)
    # Other generation settings of a base (banned words, a time limit, beams) would change answers
    # silently.
    ends = ends_in(base.config, stored_generation(files, revision)) or []
    ends += gguf_file.declared_ends(files) if files.gguf else []
    base.generation_config = GenerationConfig(eos_token_id=sorted({*ends}) or None)
    require_fit(base, tokenizer)
    return base, tokenizer


def attention_kernel(config: PreTrainedConfig) -> str:
    """Return the attention kernel: sdpa, or eager if a model supports no other (Gemma 2)."""
    found: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    kinds = found if isinstance(found, tuple) else (found,)
    return "sdpa" if all(getattr(kind, "_supports_sdpa", True) for kind in kinds) else "eager"


def _load_folder(
    name: str,
    files: Source,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device_map: DeviceMap | None,
    revision: str | None,
    options: dict[str, Any],
) -> PreTrainedModel:
    """Load a base in HuggingFace format, and merge an adapter in its folder."""
    options = {**options, "use_safetensors": True, "revision": revision}
    if not (Path(files.folder) / merged_adapter.CONFIG).is_file():  # checked with the config
        return _load(name, files, config, dtype, device_map, **options)
    if options.get("quantization_config") or quantization_of(config):
        raise BadInputError(
            f"{name} contains a PEFT adapter, which cannot be merged into quantised weights; "
            "omit the quantization, or merge it beforehand (PEFT: `merge_and_unload`)"
        )
    # Makes transformers load the base without the adapter.
    options["adapter_kwargs"] = {"subfolder": "none"}
    base = _load(name, files, config, dtype, device_map, **options)
    return merged_adapter.merge(name, base, files.folder)


def _load(
    name: str,
    files: Source,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device_map: DeviceMap | None,
    **options: Any,
) -> PreTrainedModel:
    """Load the weights; refuse a model that differs from the stored one."""
    attention = attention_kernel(config)
    if device_map is not None:
        options["device_map"] = device_map
    try:
        base, found = cast(Any, AutoModelForCausalLM).from_pretrained(
            files.folder,
            dtype=dtype,
            attn_implementation=attention,
            trust_remote_code=False,
            output_loading_info=True,
            generation_config=GenerationConfig(),
            **({"config": config} if files.gguf else {}),
            **options,
        )
    except Exception as error:  # of any type: transformers does not validate configs
        raise BadInputError(f"cannot load base model {name!r}: {first_line(error)}") from error
    require_whole(name, found)
    note_unused(base, name, found["unexpected_keys"])
    return cast(PreTrainedModel, base)


def _load_gguf(
    files: Source,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    quantization: Quantization | None,
    device_map: DeviceMap | None,
) -> PreTrainedModel:
    """Load and dequantise the weights of a GGUF file."""
    if quantization is not None:
        raise BadInputError(
            f"{files.path} is a GGUF file and cannot be quantised as {quantization}; omit the "
            "quantization, or use the model's HuggingFace directory"
        )
    rounded = gguf_file.is_quantized(files)
    options = {
        "gguf_file": files.gguf,
        "quantization_config": GgufConfig(dequantize=True),
    }
    # Loading in bfloat16 would also round buffers that are computed once.
    first = torch.float32 if rounded and dtype != torch.bfloat16 else dtype
    try:
        base = _load(str(files.path), files, config, first, device_map, **options)
        note_unused(base, str(files.path), gguf_file.unused_tensors(files))
    except Exception as error:  # unknown tensor types, wrong shapes, and others
        if isinstance(error, BadInputError) and error.__cause__ is None:
            raise  # an incomplete file, or unused tensors
        cause = first_line(error.__cause__ or error)
        raise BadInputError(
            f"transformers cannot unpack {files.path} ({cause}); it has tensors of "
            f"type {', '.join(gguf_file.tensor_types(files))}; use a file of another quantisation, "
            "for example Q8_0 or Q4_K_M"
        ) from error
    if rounded:
        gguf_file.round_weights(base, dtype)
        base.config.dtype = dtype
    return base


def compute_dtype(dtype: torch.dtype | str, config: PreTrainedConfig) -> torch.dtype:
    """Return the compute type: as given, by name, or for `auto` the stored type.

    Raises:
        BadInputError: If the type is not supported.
    """
    found: Any = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype == "auto":
        stored = (getattr(part, "dtype", None) for part in (config, config.get_text_config()))
        found = next((each for each in stored if each is not None), torch.float32)
    if found not in COMPUTE_TYPES:
        raise BadInputError(
            f"dtype {str(dtype).removeprefix('torch.')!r}: a model computes in float32, bfloat16 "
            "or float16; 'auto' uses the type of the stored weights"
        )
    return cast(torch.dtype, found)


def base_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """Read the config of a base model, and refuse unsupported models.

    Args:
        name: Short name, .gguf file, directory or hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it does not support gists, or names foreign attention code.
    """
    config = any_config(name, revision=revision)
    verdict = require_supported(config)
    if verdict.level != "supported":
        logger.warning("%s", verdict.reason)
    return config


def any_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """Read the config of a base model of any architecture.

    Args:
        name: Short name, .gguf file, directory or hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it names foreign attention code, or is a GGUF file that
            transformers cannot read.
    """
    files = source(name)
    adapted = merged_adapter.has_adapter(name, files.folder, revision)
    if adapted and files.gguf:
        raise BadInputError(
            f"{name} contains a PEFT adapter, which cannot be merged into its GGUF file; "
            "give a folder with the GGUF file alone, or the base in HuggingFace format"
        )
    if files.gguf:  # cannot name attention code: transformers reads a fixed list of keys
        return gguf_file.read_config(files)
    try:
        raw, _ = PreTrainedConfig.get_config_dict(files.folder, revision=revision)
        foreign = [named for named in _named_attention(raw) if named not in ATTENTION]
        if foreign:
            raise UnsupportedModelError(
                f"the config of {name!r} asks for attention code {foreign[0]!r}; "
                f"allowed are {', '.join(a for a in ATTENTION if a)}"
            )
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            files.folder, trust_remote_code=False, revision=revision
        )
    except UnsupportedModelError:
        raise
    except Exception as error:  # of any type: transformers does not validate configs
        raise BadInputError(f"no usable base model at {name!r}: {first_line(error)}") from error
    return config


def quantization_of(config: PreTrainedConfig) -> str | None:
    """Return the quantisation of a base: `nf4`, `fp4`, `int8`, the method's name, or None."""
    stored = getattr(config, "quantization_config", None)
    if stored is None:
        return None
    values = stored if isinstance(stored, dict) else stored.to_dict()
    if values.get("load_in_4bit"):
        return str(values.get("bnb_4bit_quant_type", "fp4"))  # transformers' default
    if values.get("load_in_8bit"):
        return "int8"
    method = values.get("quant_method")
    return str(getattr(method, "value", method))


def _quantize(
    name: str, config: PreTrainedConfig, quantization: Quantization | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the loading options that quantise a base; empty if there is nothing to quantise."""
    stored = quantization_of(config)
    if quantization is not None and stored not in (None, quantization):
        raise BadInputError(
            f"base model {name!r} is stored quantised as {stored}, not as {quantization}; "
            "omit the quantization, or start from the base in full precision"
        )
    if (quantization or stored) in BITSANDBYTES:
        try:
            import bitsandbytes  # noqa: F401 - to check that it is installed
        except ImportError as error:
            raise BadInputError(
                f"base model {name!r} cannot be loaded quantised without bitsandbytes; "
                "pip install dnsity[quant]"
            ) from error
    if quantization is None or stored is not None:
        return {}  # an option of None would hide the stored quantisation
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    }


def _set_compute_type(base: PreTrainedModel, dtype: torch.dtype) -> None:
    """Make a quantised base compute in `dtype` without changing its 4-bit weights.

    A base that is stored quantised loads in its stored types. On a CPU with bfloat16 instructions,
    bitsandbytes repacks 4-bit weights in place at the first inference. They then have another
    fingerprint, compute in bfloat16 and pass no gradient.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for parameter in base.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    for module in base.modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = dtype
            module.support_avx512bf16_for_cpu = False


def load_tokenizer(name: str, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a base model.

    Args:
        name: Short name, .gguf file, directory or hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing or damaged.
    """
    files = source(name)
    if files.gguf:
        return gguf_file.read_tokenizer(files)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            files.folder, trust_remote_code=False, revision=revision
        )
    except Exception as error:  # a damaged tokenizer.json raises a plain Exception
        raise BadInputError(
            f"cannot load the tokenizer of base model {name!r}: {first_line(error)}"
        ) from error
    return tokenizer


def _named_attention(config: Any) -> Iterator[Any]:
    """Yield every attention implementation that a config or a part of it names."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ATTENTION_KEYS:
                yield value
            else:
                yield from _named_attention(value)
    elif isinstance(config, list):
        for value in config:
            yield from _named_attention(value)
