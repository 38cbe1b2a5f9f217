"""Allowed settings of LoRA adapters; others can make PEFT download or run code."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from dnsity.model import backbone

GIST_SETTINGS = ("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules")
"""Allowed settings of a gist model's adapter."""
MERGED_SETTINGS = (
    *GIST_SETTINGS, "use_rslora", "use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern",
    "layers_to_transform", "layers_pattern",
)  # fmt: skip
"""Allowed settings of an adapter to merge; the additional ones only interpret its weights."""
_NOTES = frozenset(
    "auto_mapping base_model_name_or_path inference_mode peft_type peft_version revision "
    "task_type".split()
)
"""Settings that PEFT stores for information only."""
_KEYS_AND_VALUES = ("k_proj", "v_proj", "qkv_proj", "query_key_value")
"""How transformers' decoders name the projections whose output a cache stores."""


def foreign_settings(stored: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    """Return the settings of a stored configuration that are not allowed.

    Args:
        stored: Contents of adapter_config.json.
        allowed: Names of allowed settings.
    """
    from peft import LoraConfig

    if stored.get("peft_type") != "LORA":
        return [str(stored.get("peft_type"))]
    plain = asdict(LoraConfig())
    return sorted(
        key
        for key, value in stored.items()
        if key not in _NOTES.union(allowed) and value and value != plain.get(key)
    )


def without_idle_modules(lora: Any, base: PreTrainedModel) -> Any:
    """Exclude modules that would never get a gradient from an adapter that only compresses.

    A compression pass needs only the keys and values of the last layer. So where the adapter is off
    in answers, its other weights in that layer have no effect.

    Args:
        lora: A `peft.LoraConfig`, which is not changed.
        base: The causal LM that gets the adapter.
    """
    from peft.tuners.tuners_utils import check_target_module_exists

    last = backbone.num_layers(base) - 1
    idle = {
        f"layers.{last}.{name}"
        for name, module in backbone.last_layer(base).named_modules()
        if isinstance(module, nn.Linear) and not any(part in name for part in _KEYS_AND_VALUES)
    }
    # PEFT warns of exclusions that match no target. Its warning is not caught here, because
    # catching warnings changes the filters of the whole process.
    whole = [name for name, _ in base.named_modules() if name.endswith(tuple(idle))]
    targeted = lora.target_modules in (None, "all-linear") or any(
        check_target_module_exists(lora, name) for name in whole
    )
    if targeted:
        lora = copy.copy(lora)
        lora.exclude_modules = {*(lora.exclude_modules or ()), *idle}
    return lora
