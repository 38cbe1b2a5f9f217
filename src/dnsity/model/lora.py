"""What an adapter's configuration may say: plain LoRA, and nothing that PEFT would fetch or run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

GIST_SETTINGS = ("r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules")
"""Settings of a gist model's adapter; others can make PEFT import, read or download things."""
MERGED_SETTINGS = (
    *GIST_SETTINGS, "use_rslora", "use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern",
    "layers_to_transform", "layers_pattern",
)  # fmt: skip
"""Further ones of an adapter that is merged: they only say what its weights mean."""
_NOTES = frozenset(
    "auto_mapping base_model_name_or_path inference_mode peft_type peft_version revision "
    "task_type".split()
)
"""What PEFT notes down about an adapter."""


def foreign_settings(stored: Mapping[str, Any], allowed: Collection[str]) -> list[str]:
    """Name what a stored configuration asks for beyond the allowed settings.

    Args:
        stored: Contents of adapter_config.json.
        allowed: Names of settings.
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
