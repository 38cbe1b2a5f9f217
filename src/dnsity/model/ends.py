"""The ids that a base model declares to end an answer."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from dnsity.model.names import Source


def declared_ends(base: PreTrainedModel) -> list[int] | None:
    """Return the ids that a model in memory declares to end an answer, sorted; None for none."""
    return ends_in(base.config, base.generation_config)


def ends_in(config: PreTrainedConfig, generation: GenerationConfig | None) -> list[int] | None:
    """Return the ids that config and generation config declare, sorted; None for none."""
    ends: set[int] = set()
    for declared in (config, config.get_text_config(), generation):
        value = getattr(declared, "eos_token_id", None)
        ends.update([] if value is None else value if isinstance(value, list) else [value])
    return sorted(ends) or None


def stored_generation(files: Source, revision: str | None) -> GenerationConfig | None:
    """Read a base's generation_config.json; None where it has no usable one."""
    if files.gguf:
        return None
    try:
        options: dict[str, Any] = {"revision": revision}
        return GenerationConfig.from_pretrained(files.folder, **options)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
