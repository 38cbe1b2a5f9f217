"""Merging a LoRA adapter from the folder of a base model into its weights.

    FOLDER/config.json, model.safetensors                        the base
    FOLDER/adapter_config.json, adapter_model.safetensors        W + B A, as transformers applies it

The fingerprint of the weights then covers the adapter, and saving a trained model includes it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.peft_utils import find_adapter_config_file

from dnsity.errors import BadInputError, first_line
from dnsity.model.lora import MERGED_SETTINGS, foreign_settings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def has_adapter(name: str, folder: str, revision: str | None = None) -> bool:
    """Return whether the folder of a base contains an adapter to merge.

    Args:
        name: Name of the model, for error messages.
        folder: A directory or a hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If the adapter cannot be merged: it is not LoRA, is pickled, is in a hub
            repository, or has no base in its folder.
    """
    find: Any = find_adapter_config_file
    try:
        found = find(folder, revision=revision)
    except (OSError, ValueError):
        return False  # no such repository; reading its config reports it
    if found is None:
        return False
    local = Path(folder)
    if local.is_dir():
        own = (local / "config.json").is_file() and (local / WEIGHTS).is_file()
        why = "without a base or safetensors in its folder" if not own else _foreign(local / CONFIG)
    else:
        why = "in a hub repository"
    if not why:
        return True
    raise BadInputError(
        f"{name} contains a PEFT adapter ({CONFIG}: {why}). Only a plain LoRA adapter in "
        "safetensors, in the folder of a base in HuggingFace format, is merged. Merge it into its "
        "base (PEFT: `merge_and_unload`, then `save_pretrained`) and give that folder, or give the "
        "base without the adapter's files"
    )


def _foreign(path: Path) -> str:
    """Name the unsupported settings of an adapter; empty if there are none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        plain = stored.get("init_lora_weights") in (True, False, None, "gaussian")
        # With other settings, training began from other base weights than those stored here.
        named = foreign_settings(stored, (*MERGED_SETTINGS, *["init_lora_weights"] * plain))
    except (OSError, ValueError, TypeError, AttributeError):
        return "unreadable"
    return ", ".join(named)


def merge(name: str, base: PreTrainedModel, folder: str) -> PreTrainedModel:
    """Add an adapter's weights to those of its base.

    Args:
        name: Name of the model, for error messages.
        base: The base, not quantised.
        folder: Folder of the adapter's files.

    Raises:
        BadInputError: If the adapter is damaged, was made for another base, has other than LoRA
            weights, or changes an embedding that the model shares between input and output.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    try:
        tensors = load_file(Path(folder) / WEIGHTS)
        stored = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        settings = {key: stored[key] for key in MERGED_SETTINGS if stored.get(key) is not None}
        _require_plain(name, settings, tensors)
        _require_untied(name, base, tensors)
        with torch.random.fork_rng(devices=[]):  # PEFT samples initial weights
            wrapped: Any = get_peft_model(base, LoraConfig(**settings))
        found: Any = set_peft_model_state_dict(wrapped, tensors)
        missing = [key for key in found.missing_keys if "lora_" in key]
        left = [*found.unexpected_keys, *missing]
        merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except BadInputError:
        raise
    except Exception as error:  # PEFT does not validate the values in a config
        raise BadInputError(
            f"the adapter in {name} cannot be merged into the base there: {first_line(error)}"
        ) from error
    if left:
        raise BadInputError(
            f"the adapter in {name} does not fit the base there ({len(left)} tensors, for example "
            f"{left[0]}); give the base it was trained on, or remove the adapter's files"
        )
    return merged.requires_grad_(True)


def _require_plain(name: str, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Refuse settings that PEFT would use as patterns, and weights other than LoRA."""
    names: list[str] = []
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        value = settings.get(key) or []
        names += [] if value == "all-linear" else [value] if isinstance(value, str) else value
    for key in ("rank_pattern", "alpha_pattern"):
        names += settings.get(key) or {}
    patterns = [each for each in names if not re.fullmatch(r"[\w.]+", str(each))]
    foreign = [key for key in tensors if "lora_" not in key]
    if patterns or foreign:
        raise BadInputError(
            f"the adapter in {name} is not merged: it has "
            + (f"the pattern {patterns[0]!r}" if patterns else f"the tensor {foreign[0]}")
            + ", and only LoRA weights of modules given by name are; merge it with PEFT "
            "(`merge_and_unload`, then `save_pretrained`) and give that folder"
        )
    ranks = [int(settings.get("r", 8)), *map(int, (settings.get("rank_pattern") or {}).values())]
    first = ("lora_A", "lora_embedding_A")
    stored = max(
        (t.shape[0] for key, t in tensors.items() if any(a in key for a in first)), default=0
    )
    if max(ranks) > stored:
        raise BadInputError(
            f"the adapter in {name} does not fit its weights: its settings have rank {max(ranks)}, "
            f"its tensors {stored}; copy it again"
        )


def _require_untied(name: str, base: PreTrainedModel, tensors: dict[str, Tensor]) -> None:
    """Refuse an adapter of only one end of a shared embedding matrix."""
    ends: list[Any] = [base.get_input_embeddings(), base.get_output_embeddings()]
    if getattr(ends[0], "weight", None) is not getattr(ends[1], "weight", ends):
        return
    names = [key.rpartition(".")[2] for key, part in base.named_modules() if part in ends]
    if any(f".{own}.lora_" in key for key in tensors for own in names):
        raise BadInputError(
            f"the adapter in {name} changes an embedding that the base shares between input and "
            "output, so it cannot be merged; train it without lm_head and embed_tokens, or untie "
            "them and merge it yourself"
        )
