"""What identifies a gist model: everything that must be equal for a gist to mean what it meant."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dnsity.model.base import quantization_of
from dnsity.model.gist_lm import GistLM

NO_IDENTITY = frozenset(
    {
        "architectures",  # only there once the model was saved
        "dtype",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "_name_or_path",
        "_model_name_or_path",  # a GGUF file's title
        "quantization_config",  # names the compute type too; how weights are quantised stands alone
    }
)


FRAME = {"frame", "system", "instruction"}
"""Fields of the spec whose effect, the texts of the frame, has a fingerprint of its own."""


def fingerprints(model: GistLM, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Identify everything that must be equal for a gist to mean what it meant.

    Weights are hashed by name, shape and up to 1,024 evenly spaced values per tensor, in bfloat16
    so that the compute type does not matter: milliseconds for a small model, under a second for a
    large one, and any fine-tuning shows.

    Returns:
        SHA-256 digests of `weights`, `adapter` (with the gist rows), `config`, `tokenizer` and
        `spec`; of `quantization` too if the base is quantised.
    """
    base, adapter = hashlib.sha256(), hashlib.sha256()
    for name, tensor in sorted(model.named_parameters()):
        digest = adapter if name == "gist_rows" or "lora_" in name else base
        digest.update(f"{name.replace('.base_layer', '')}{list(tensor.shape)}".encode())
        digest.update(_sample(tensor))
    # Only what differs from the library's defaults: every version brings new keys of no effect.
    text = model.base.config.get_text_config()
    identity = {key: value for key, value in text.to_diff_dict().items() if key not in NO_IDENTITY}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # padding and truncation are left over from whoever called it last
        state = {**json.loads(backend.to_str()), "padding": None, "truncation": None}
    else:
        state = tokenizer.get_vocab()
    quantization = quantization_of(model.base.config)
    return {
        **({} if quantization is None else {"quantization": _digest(quantization)}),
        "weights": base.hexdigest(),
        "adapter": adapter.hexdigest(),
        "config": _digest(json.dumps(identity, sort_keys=True, default=str)),
        "tokenizer": _digest(json.dumps(state, sort_keys=True)),
        "spec": _digest(model.spec.model_dump_json(exclude_none=True, exclude=FRAME)),
    }


def _sample(tensor: Tensor) -> bytes:
    flat = tensor.detach().flatten()
    picked = flat[:: max(1, flat.numel() // 1024)].to(torch.bfloat16).cpu().contiguous()
    return picked.view(torch.uint8).numpy().tobytes()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def describe_base(model: GistLM) -> dict[str, Any]:
    """Describe the base for metadata: type, dtype and rotary embedding."""
    text = model.base.config.get_text_config()
    return {
        "model_type": text.model_type,
        "dtype": str(model.base.dtype).removeprefix("torch."),
        "quantization": quantization_of(model.base.config),
        "rope": json.loads(json.dumps(text.rope_parameters, default=str)),
    }
