"""End tokens: the ids that a base model declares to end an answer."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from dnsity.model.names import Source


def declared_ends(base: PreTrainedModel) -> list[int] | None:
    """Return the end tokens of a loaded model, sorted; None if there are none."""
    return ends_in(base.config, base.generation_config)


def ends_in(config: PreTrainedConfig, generation: GenerationConfig | None) -> list[int] | None:
    """Return the end tokens in config and generation config, sorted; None if there are none."""
    ends: set[int] = set()
    for declared in (config, config.get_text_config(), generation):
        value = getattr(declared, "eos_token_id", None)
        ends.update([] if value is None else value if isinstance(value, list) else [value])
    return sorted(ends) or None


def stored_generation(files: Source, revision: str | None) -> GenerationConfig | None:
    """Read the generation_config.json of a base; None if it is missing or unusable."""
    if files.gguf:
        return None
    try:
        options: dict[str, Any] = {"revision": revision}
        return GenerationConfig.from_pretrained(files.folder, **options)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
