"""Loading a base model: no remote code, no pickles, no foreign kernels, nothing half there."""

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
from dnsity.model import adapter_beside, gguf_file
from dnsity.model.architectures import require_supported
from dnsity.model.ends import ends_in, stored_generation
from dnsity.model.names import Source, source
from dnsity.model.stored import note_unused, require_fit, require_whole

logger = logging.getLogger(__name__)

DeviceMap: TypeAlias = str | int | torch.device | dict[str, Any]
"""Where the layers of a model are placed, as transformers takes it."""
COMPUTE_TYPES = (torch.float32, torch.bfloat16, torch.float16)

ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flash_attention_3")
"""Attention implementations a config may name; others could name code on a hub."""
ATTENTION_KEYS = ("_attn_implementation_internal", "_attn_implementation", "attn_implementation")

Quantization: TypeAlias = Literal["nf4"]
"""How a base can be quantised while it is loaded: 4-bit NormalFloat, as in QLoRA."""
BITSANDBYTES = ("nf4", "fp4", "int8")
"""What only bitsandbytes can load."""


def load_base(
    name: str,
    *,
    dtype: torch.dtype | str = torch.float32,
    quantization: Quantization | None = None,
    device_map: DeviceMap | None = None,
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal LM and its tokenizer; no remote code, no pickles, no foreign kernels.

    A LoRA adapter in the base's folder is merged into the weights. Stored tensors that the config
    has no place for are noted on the model; `GistLM` refuses such a base.

    The model's `generation_config` only states the ids that end an answer: those that its config
    and its generation_config.json declare, as a sorted list, or None.

    Args:
        name: Short name, .gguf file, directory or hub id.
        dtype: Compute type, its name, or `auto` for the type it is stored in.
        quantization: Quantise the linear layers, all but the vocabulary head. None takes the base
            as it is stored, which may be quantised. On a machine with a GPU a quantised base comes
            to the first one, as the library has it.
        device_map: Where its layers are placed, as transformers takes it. None: the CPU.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing, incomplete or stored quantised in another way, has an
            adapter beside it that cannot be merged, needs bitsandbytes or gguf where that is not
            installed, or does not fit into memory.
        UnsupportedModelError: If it cannot hold gists, or its tokenizer belongs to another model.
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
        _compute_plainly(base, compute)
    # What a base suggests for chatting (banned words, a time limit, beams) would change answers
    # without a word.
    ends = ends_in(base.config, stored_generation(files, revision)) or []
    ends += gguf_file.declared_ends(files) if files.gguf else []
    base.generation_config = GenerationConfig(eos_token_id=sorted({*ends}) or None)
    require_fit(base, tokenizer)
    return base, tokenizer


def attention_kernel(config: PreTrainedConfig) -> str:
    """Choose the attention kernel: sdpa, or eager where the library has no other (Gemma 2)."""
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
    """Load a base in HuggingFace format, with an adapter that lies beside it merged."""
    options = {**options, "use_safetensors": True, "revision": revision}
    if not (Path(files.folder) / adapter_beside.CONFIG).is_file():  # judged with the config
        return _load(name, files, config, dtype, device_map, **options)
    if options.get("quantization_config") or quantization_of(config):
        raise BadInputError(
            f"{name} contains a PEFT adapter, which cannot be merged into quantised weights; "
            "leave the quantization out, or merge it beforehand (PEFT: `merge_and_unload`)"
        )
    # Where it looks for an adapter, so that the base comes without.
    options["adapter_kwargs"] = {"subfolder": "none"}
    base = _load(name, files, config, dtype, device_map, **options)
    return adapter_beside.merge(name, base, files.folder)


def _load(
    name: str,
    files: Source,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device_map: DeviceMap | None,
    **options: Any,
) -> PreTrainedModel:
    """Load the weights; refuse a model that is not exactly what is stored."""
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
    except Exception as error:  # of any kind: configs go into arithmetic unchecked
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
    """Load the weights of a GGUF file, dequantised."""
    if quantization is not None:
        raise BadInputError(
            f"{files.path} is a GGUF file and cannot be quantised as {quantization}; leave the "
            "quantization out, or use the model's HuggingFace directory"
        )
    rounded = gguf_file.is_quantized(files)
    options = {
        "gguf_file": files.gguf,
        "quantization_config": GgufConfig(dequantize=True),
    }
    # Loaded in bfloat16, buffers that are computed once would be rounded too.
    first = torch.float32 if rounded and dtype != torch.bfloat16 else dtype
    try:
        base = _load(str(files.path), files, config, first, device_map, **options)
        note_unused(base, str(files.path), gguf_file.unused_tensors(files))
    except Exception as error:  # types it cannot unpack, shapes that do not fit: of many kinds
        if isinstance(error, BadInputError) and error.__cause__ is None:
            raise  # incomplete, or not all of it is used
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
    """Return the type a model computes in: as given, by name, or for `auto` as it is stored.

    Raises:
        BadInputError: If there is no such type.
    """
    found: Any = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype == "auto":
        stored = (getattr(part, "dtype", None) for part in (config, config.get_text_config()))
        found = next((each for each in stored if each is not None), torch.float32)
    if found not in COMPUTE_TYPES:
        raise BadInputError(
            f"dtype {str(dtype).removeprefix('torch.')!r}: a model computes in float32, bfloat16 "
            "or float16; 'auto' takes the type it is stored in"
        )
    return cast(torch.dtype, found)


def base_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """Read the config of a base model; refuse what must not or cannot be loaded.

    Args:
        name: Short name, .gguf file, directory or hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it cannot hold gists, or names foreign attention code.
    """
    config = any_config(name, revision=revision)
    verdict = require_supported(config)
    if verdict.level != "supported":
        logger.warning("%s", verdict.reason)
    return config


def any_config(name: str, *, revision: str | None = None) -> PreTrainedConfig:
    """Read the config of a base model of any architecture, without judging it.

    Args:
        name: Short name, .gguf file, directory or hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If it is missing.
        UnsupportedModelError: If it names foreign attention code, or is a GGUF file that
            transformers cannot read.
    """
    files = source(name)
    adapted = adapter_beside.has_adapter(name, files.folder, revision)
    if adapted and files.gguf:
        raise BadInputError(
            f"{name} contains a PEFT adapter beside a GGUF file, into which it cannot be merged; "
            "give a folder with the GGUF file alone, or the base in HuggingFace format"
        )
    if files.gguf:  # no attention code can be named there: the library reads a fixed list of keys
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
    except Exception as error:  # of any kind: what a config says goes into arithmetic unchecked
        raise BadInputError(f"no usable base model at {name!r}: {first_line(error)}") from error
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
