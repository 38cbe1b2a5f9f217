"""What identifies a gist model: everything that must be equal for a gist to mean what it meant."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dnsity.model import sample
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


SAMPLED = "rows:"
"""Marks digests of sampled rows; those without it are of earlier versions."""


def fingerprints(
    model: GistLM, tokenizer: PreTrainedTokenizerBase, *, earlier: bool = False
) -> dict[str, str]:
    """Identify everything that must be equal for a gist to mean what it meant.

    Of the weights, up to eight pseudo-random values of every row are read (`model/sample.py`):
    milliseconds for a small model, a second for a large one. Any fine-tuning shows, and so does an
    edited row; single numbers of a large tensor may not, see `weights_digest`.

    Args:
        model: Its weights, adapter, config and spec.
        tokenizer: Its tokenizer.
        earlier: Give weights and adapter the digests of earlier versions, to compare with theirs.

    Returns:
        SHA-256 digests of `weights`, `adapter` (with the gist rows), `config`, `tokenizer` and
        `spec`; of `quantization` too if the base is quantised.
    """
    base, adapter = _named(model)
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
        "weights": sample.strided(base) if earlier else SAMPLED + sample.sampled(base),
        "adapter": sample.strided(adapter) if earlier else SAMPLED + sample.sampled(adapter),
        "config": _digest(json.dumps(identity, sort_keys=True, default=str)),
        "tokenizer": _digest(json.dumps(state, sort_keys=True)),
        "spec": _digest(model.spec.model_dump_json(exclude_none=True, exclude=FRAME)),
    }


def weights_digest(model: GistLM) -> str:
    """Return a digest of every number of base, adapter and gist rows: seconds for a large model."""
    base, adapter = _named(model)
    return sample.complete([*base, *adapter])


def _named(model: GistLM) -> tuple[list[tuple[str, Tensor]], list[tuple[str, Tensor]]]:
    """List the weights of the base, and those of adapter and gist rows, under their plain names."""
    base: list[tuple[str, Tensor]] = []
    adapter: list[tuple[str, Tensor]] = []
    for name, tensor in sorted(model.named_parameters()):
        part = adapter if name == "gist_rows" or "lora_" in name else base
        part.append((name.replace(".base_layer", ""), tensor))
    return base, adapter


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
