"""Base models in a GGUF file, dequantised by transformers.

transformers reads config, tokenizer and chat template from the file and unpacks its weights. This
module adds three rules:

* Weights of a quantised file are rounded to bfloat16 for any compute type. Such a file is saved as
  a HuggingFace directory in bfloat16, and fingerprints sample weights in bfloat16. The file and its
  directory are therefore the same model, and their gists can be exchanged. The rounding error (2^-9
  of a weight) is below that of 8-bit quantisation. Files without quantised tensors (F32, F16, BF16)
  keep their values.
* The tokenizer is saved and loaded once, because transformers adds parts on loading that its GGUF
  conversion omits (NFC normalisation for Qwen2).
* RoPE scaling that transformers does not read is refused, since the model would use other positions
  than in training.
"""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from threading import RLock
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from dnsity.errors import BadInputError, UnsupportedModelError, first_line
from dnsity.model.names import Source

PLAIN = frozenset({"F64", "F32", "F16", "BF16"})
"""Tensor types that are not quantised."""
_WITHOUT_PARAMETER = re.compile(r"^rope_freqs\.weight$|\.ffn_\w+_projs\.weight$")
"""Tensors without a parameter: one is checked by `_unread_scaling`, transformers splits others."""
_ENDS = ("eos", "eot", "eom")
_LOCK = RLock()


def read_config(source: Source) -> PreTrainedConfig:
    """Read the model config in a GGUF file.

    Raises:
        BadInputError: If the file or the package `gguf` cannot be read.
        UnsupportedModelError: If transformers cannot read this architecture, or its RoPE scaling.
    """
    with reading(source) as reader:
        architecture = _text(reader, "general.architecture")
        try:
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                source.folder, gguf_file=source.gguf, trust_remote_code=False
            )
        except Exception as error:  # of any type: transformers does not validate the file
            raise UnsupportedModelError(
                f"{source.path} has architecture {architecture!r}, whose GGUF files transformers "
                f"cannot read ({first_line(error)}); use the model's HuggingFace directory"
            ) from error
        scaling = _unread_scaling(reader, architecture, config)
        if scaling:
            raise UnsupportedModelError(
                f"{source.path} has RoPE scaling ({scaling}), which transformers does not read "
                "from a GGUF file; use the model's HuggingFace directory"
            )
        if is_quantized(source):
            config.dtype = torch.bfloat16  # the type for `auto`
        return config


def read_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """Read the tokenizer and the chat template in a GGUF file.

    Raises:
        BadInputError: If there is none, or transformers cannot read it.
    """
    with reading(source), tempfile.TemporaryDirectory() as folder:
        try:
            converted = AutoTokenizer.from_pretrained(
                source.folder, gguf_file=source.gguf, trust_remote_code=False
            )
            converted.save_pretrained(folder)
            # The config determines the tokenizer class, as in a directory.
            read_config(source).save_pretrained(folder)
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False
            )
        except BadInputError:
            raise
        except Exception as error:
            raise BadInputError(
                f"cannot read the tokenizer in {source.path}: {first_line(error)}; use the model's "
                "HuggingFace directory"
            ) from error
    tokenizer.name_or_path = str(source.path)
    return tokenizer


def is_quantized(source: Source) -> bool:
    """Return whether any tensor of the file is quantised.

    Raises:
        BadInputError: If the file cannot be read.
    """
    return bool(set(tensor_types(source)) - PLAIN)


def tensor_types(source: Source) -> list[str]:
    """Return the tensor types in a GGUF file, for example `["F32", "Q4_K"]`.

    Raises:
        BadInputError: If the file cannot be read.
    """
    with reading(source) as reader:
        return sorted({tensor.tensor_type.name for tensor in reader.tensors})


def declared_ends(source: Source) -> list[int]:
    """Return the end tokens that a file declares for a text, a turn and a message.

    transformers only reads the first; Llama 3 ends its turns with the second.
    """
    with reading(source) as reader:
        fields = (reader.fields.get(f"tokenizer.ggml.{end}_token_id") for end in _ENDS)
        return [int(field.parts[field.data[0]][0]) for field in fields if field is not None]


def unused_tensors(source: Source) -> list[str]:
    """Return the tensors that transformers did not load; to be called inside `reading`.

    It skips tensors without a parameter in the model, such as further layers and biases.
    """
    with reading(source) as reader:
        mapped: dict[str, str] = reader.mapped
        return [
            tensor.name
            for tensor in reader.tensors
            if tensor.name not in mapped
            and tensor.name.removesuffix(".weight") not in mapped  # experts
            and not _WITHOUT_PARAMETER.search(tensor.name)
        ]


@torch.no_grad()
def round_weights(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Round all weights to bfloat16 and store them as `dtype`; buffers are unchanged."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.bfloat16).to(dtype)


@contextmanager
def reading(source: Source) -> Iterator[Any]:
    """Open a GGUF file for transformers and yield the reader; its metadata is parsed once.

    transformers itself parses the metadata for config, tokenizer and weights separately, and builds
    the table of tensor names once per module: 44 seconds for Qwen2.5-0.5B on one core.

    Raises:
        BadInputError: If the package `gguf` is missing, or the file is no complete GGUF file.
    """
    if find_spec("gguf") is None:
        raise BadInputError(
            f"{source.path} cannot be read without the package gguf; pip install dnsity[gguf]"
        )
    import gguf
    from transformers import modeling_gguf_pytorch_utils as library

    with _LOCK:
        if isinstance(gguf.GGUFReader, _SharedReader) and gguf.GGUFReader.path == str(source.path):
            yield gguf.GGUFReader.reader
            return
        try:
            once = _SharedReader(str(source.path))
        except Exception as error:  # numpy and gguf raise many types
            if "GGMLQuantizationType" in str(error):
                raise BadInputError(
                    f"{source.path} has tensors of a type that the package gguf does not support "
                    f"({first_line(error)}); pip install -U gguf, or use a file of another "
                    "quantisation, for example Q8_0 or Q4_K_M"
                ) from error
            raise BadInputError(
                f"{source.path} is not a GGUF file or is incomplete ({first_line(error)}); "
                "download it again"
            ) from error
        parse: Any = library.load_gguf_checkpoint
        parsed = lru_cache(lambda path: parse(path))

        def load(path: Any, return_tensors: bool = False, **more: Any) -> dict[str, Any]:
            if return_tensors:
                return dict(parse(path, return_tensors=True, **more))
            return copy.deepcopy(parsed(str(path)))  # transformers modifies it

        names = lru_cache(gguf.get_tensor_name_map)
        find: Any = library.get_gguf_hf_weights_map

        def mapping(*arguments: Any, **more: Any) -> dict[str, str]:
            once.reader.mapped = found = dict(find(*arguments, **more))  # of the outermost call
            return found

        with (
            _replaced(gguf, GGUFReader=once, get_tensor_name_map=names),
            # This progress bar can be turned off.
            _replaced(
                library,
                load_gguf_checkpoint=load,
                get_gguf_hf_weights_map=mapping,
                tqdm=transformers_logging.tqdm,
            ),
        ):
            yield once.reader


@contextmanager
def _replaced(module: Any, **values: Any) -> Iterator[None]:
    """Replace attributes of a module inside the context."""
    before = {name: getattr(module, name, None) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


class _SharedReader:
    """Replacement of `gguf.GGUFReader` that returns the same reader for one path.

    Attributes:
        path: Path of the file.
        reader: Reader of the file.
    """

    def __init__(self, path: str) -> None:
        """Read the file."""
        import gguf

        class Reader(gguf.GGUFReader):
            def _get(self, *arguments: Any, **more: Any) -> Any:
                own: Any = self
                if isinstance(own.data, np.memmap):
                    own.data = own.data.view(np.ndarray)  # three times faster to slice
                return super()._get(*arguments, **more)

        self.path, self._plain = path, gguf.GGUFReader
        self.reader: Any = Reader(path)

    def __call__(self, path: Any, *arguments: Any) -> Any:
        """Return the reader of this file; open any other file."""
        return self.reader if str(path) == self.path else self._plain(path, *arguments)


def _text(reader: Any, key: str) -> str:
    """Return a string of the metadata, or an empty one."""
    field = reader.fields.get(key)
    return "" if field is None else bytes(field.parts[field.data[0]]).decode("utf-8", "replace")


def _unread_scaling(reader: Any, architecture: str, config: PreTrainedConfig) -> str | None:
    """Return the RoPE scaling of a file that transformers ignores; None if there is none."""
    parameters: Any = getattr(config.get_text_config(), "rope_parameters", None) or {}
    kinds = [parameters] if "rope_type" in parameters else list(parameters.values())
    if any(each.get("rope_type", "default") != "default" for each in kinds):
        return None
    kind = _text(reader, f"{architecture}.rope.scaling.type")
    if kind not in ("", "none"):
        return kind
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight" and np.any(np.asarray(tensor.data) != 1):
            return str(tensor.name)
    return None
