"""A base in whose folder a LoRA adapter lies: the adapter is merged into the weights.

    FOLDER/config.json, model.safetensors                        the base
    FOLDER/adapter_config.json, adapter_model.safetensors        W + B A, as transformers applies it

Merged, it is part of the weights that a fingerprint covers, and training cannot lose it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import PreTrainedModel
from transformers.utils.peft_utils import find_adapter_config_file

from dnsity.errors import BadInputError, first_line
from dnsity.model.lora import MERGED_SETTINGS, foreign_settings

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def has_adapter(name: str, folder: str, revision: str | None = None) -> bool:
    """Say whether an adapter lies beside a base.

    Args:
        name: What is loaded.
        folder: A directory or a hub id.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If there is one that cannot be merged: another kind than LoRA, pickled, in a
            hub repository, or without a base beside it.
    """
    find: Any = find_adapter_config_file
    try:
        found = find(folder, revision=revision)
    except (OSError, ValueError):
        return False  # no such repository, as reading its config says
    if found is None:
        return False
    local = Path(folder)
    if local.is_dir():
        own = (local / "config.json").is_file() and (local / WEIGHTS).is_file()
        why = "no base or no safetensors beside it" if not own else _foreign(local / CONFIG)
    else:
        why = "in a hub repository"
    if not why:
        return True
    raise BadInputError(
        f"{name} contains a PEFT adapter ({CONFIG}: {why}). Only a plain LoRA adapter in "
        "safetensors beside a base in HuggingFace format is merged here. Merge it into its base "
        "(PEFT: `merge_and_unload`, then `save_pretrained`) and give that folder, or give the base "
        "without the adapter's files"
    )


def _foreign(path: Path) -> str:
    """Say what of an adapter's configuration cannot be taken; nothing if all can."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        plain = stored.get("init_lora_weights") in (True, False, None, "gaussian")
        # Otherwise training began from other weights of the base than those stored here.
        named = foreign_settings(stored, (*MERGED_SETTINGS, *["init_lora_weights"] * plain))
    except (OSError, ValueError, TypeError, AttributeError):
        return "unreadable"
    return ", ".join(named)


@contextmanager
def base_alone(folder: str) -> Iterator[str]:
    """Give a folder with the same files but for the adapter's, as the library would apply it."""
    with TemporaryDirectory(prefix="dnsity-base-") as alone:
        for file in Path(folder).iterdir():
            if not file.name.startswith("adapter_"):
                os.symlink(file.resolve(), Path(alone) / file.name)
        yield alone


def merge(name: str, base: PreTrainedModel, folder: str) -> PreTrainedModel:
    """Add an adapter's weights to those of its base.

    Args:
        name: What is loaded.
        base: The base, not quantised.
        folder: Where the adapter's files are.

    Raises:
        BadInputError: If the adapter is damaged or was made for another base.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    try:
        stored = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        settings = {key: stored[key] for key in MERGED_SETTINGS if stored.get(key) is not None}
        wrapped: Any = get_peft_model(base, LoraConfig(**settings))
        found: Any = set_peft_model_state_dict(wrapped, load_peft_weights(folder, device="cpu"))
        missing = [key for key in found.missing_keys if "lora_" in key]
        left = [*found.unexpected_keys, *missing]
        merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:  # what a config says goes into arithmetic unchecked
        raise BadInputError(
            f"the adapter in {name} cannot be merged into the base there: {first_line(error)}"
        ) from error
    if left:
        raise BadInputError(
            f"the adapter in {name} does not fit the base there ({len(left)} tensors, for example "
            f"{left[0]}); give the base it was trained on, or remove the adapter's files"
        )
    return merged.requires_grad_(True)
