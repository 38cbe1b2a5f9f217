"""Allowed settings of LoRA adapters; others can make PEFT download or run code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

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
