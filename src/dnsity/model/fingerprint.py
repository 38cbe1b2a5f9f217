"""Fingerprints of a gist model: digests of all that a gist depends on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dnsity.model.base import quantization_of
from dnsity.model.gist_lm import GistLM
from dnsity.model.weight_digests import complete, sampled, strided

NO_IDENTITY = frozenset(
    {
        "architectures",  # only present once the model was saved
        "dtype",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "_name_or_path",
        "_model_name_or_path",  # a GGUF file's title
        "quantization_config",  # includes the compute type; quantisation has a separate digest
    }
)
"""Fields of the base's config that are not part of its fingerprint."""
FRAME = {"frame", "system", "instruction"}
"""Fields of the spec with a separate fingerprint, that of the prompt texts."""
SAMPLED = "rows:"
"""Prefix of digests of sampled rows; digests of earlier versions lack it."""


def fingerprints(
    model: GistLM, tokenizer: PreTrainedTokenizerBase, *, earlier: bool = False
) -> dict[str, str]:
    """Return digests of all parts of a model that a gist depends on.

    Digests of weights use up to eight pseudo-random values of every row (`weight_digests.sampled`),
    which takes milliseconds for a small model and a second for a large one. They detect any
    fine-tuning and edited rows. They may miss single changed values of a large tensor, see
    `weights_digest`.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        earlier: Whether to compute the digests of weights and adapter as earlier versions did.

    Returns:
        SHA-256 digests of `weights`, `adapter` (with the gist rows), `config`, `tokenizer` and
        `spec`, and of `quantization` if the base is quantised.
    """
    base, adapter = _named(model)
    # Only differences from the defaults, since new versions of transformers add keys.
    text = model.base.config.get_text_config()
    identity = {key: value for key, value in text.to_diff_dict().items() if key not in NO_IDENTITY}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # padding and truncation depend on the last caller
        state = {**json.loads(backend.to_str()), "padding": None, "truncation": None}
    else:
        state = tokenizer.get_vocab()
    quantization = quantization_of(model.base.config)
    return {
        **({} if quantization is None else {"quantization": _digest(quantization)}),
        "weights": strided(base) if earlier else SAMPLED + sampled(base),
        "adapter": strided(adapter) if earlier else SAMPLED + sampled(adapter),
        "config": _digest(json.dumps(identity, sort_keys=True, default=str)),
        "tokenizer": _digest(json.dumps(state, sort_keys=True)),
        "spec": _digest(model.spec.model_dump_json(exclude_none=True, exclude=FRAME)),
    }


def weights_digest(model: GistLM) -> str:
    """Return a digest of all weights, adapter and gist rows; takes seconds for a large model."""
    base, adapter = _named(model)
    return complete([*base, *adapter])


def _named(model: GistLM) -> tuple[list[tuple[str, Tensor]], list[tuple[str, Tensor]]]:
    """Return the tensors of the base, and those of adapter and gist rows, by their plain names."""
    base: list[tuple[str, Tensor]] = []
    adapter: list[tuple[str, Tensor]] = []
    for name, tensor in sorted(model.named_parameters()):
        part = adapter if name == "gist_rows" or "lora_" in name else base
        part.append((name.replace(".base_layer", ""), tensor))
    return base, adapter


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def describe_base(model: GistLM) -> dict[str, Any]:
    """Describe the base for metadata: model type, dtype, quantisation and rotary embedding."""
    text = model.base.config.get_text_config()
    return {
        "model_type": text.model_type,
        "dtype": str(model.base.dtype).removeprefix("torch."),
        "quantization": quantization_of(model.base.config),
        "rope": json.loads(json.dumps(text.rope_parameters, default=str)),
    }
