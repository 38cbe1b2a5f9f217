"""Checks that a loaded model uses exactly the stored weights.

If stored tensors are missing or have no place in the config, transformers continues with a log
message at most, and the result is a different model. dnsity refuses such bases: missing tensors
when a base is loaded, unused ones when it is used for gists (`GistLM`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.model.ends import declared_ends

COMPUTED = ("inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached", "masked_bias")
"""Suffixes of stored tensors that models compute themselves."""
_SHOWN = 5
"""Names that a message lists."""
_UNUSED = "dnsity_unused_tensors"
"""Attribute of a loaded base that records its unused tensors."""


def note_unused(base: PreTrainedModel, name: str, names: Collection[str]) -> None:
    """Record on a base which stored tensors were not loaded.

    Args:
        base: The loaded base.
        name: Name of the base.
        names: Names of the stored tensors that were not loaded.
    """
    setattr(base, _UNUSED, (name, sorted(n for n in names if not n.endswith(COMPUTED))))


def require_all_used(base: PreTrainedModel) -> None:
    """Refuse a base that was loaded without some of its stored tensors.

    Raises:
        BadInputError: If there are such tensors.
    """
    name, left = getattr(base, _UNUSED, ("", []))
    if left:
        raise BadInputError(
            f"base model {name!r} has {len(left)} stored tensors that its "
            f"config has no place for ({_some(left)}): without them it would be another model; "
            "correct its config (number of layers, biases, architecture), or copy the matching one "
            "again"
        )


def require_whole(name: str, found: dict[str, Any]) -> None:
    """Refuse a base with missing or mismatched tensors.

    Args:
        name: Name of the base.
        found: The loading information of transformers.

    Raises:
        BadInputError: If tensors are missing or mismatched.
    """
    missing = sorted(found["missing_keys"])
    if missing:  # transformers would initialise them randomly
        raise BadInputError(
            f"base model {name!r} is incomplete: {len(missing)} tensors are missing, "
            f"for example {missing[0]}; copy or download it again"
        )
    mismatched = sorted(str(each[0]) for each in found["mismatched_keys"])
    if mismatched:
        raise BadInputError(
            f"base model {name!r} has {len(mismatched)} tensors of another shape than its "
            f"config states ({_some(mismatched)}); copy or download it again"
        )
    if found.get("error_msgs"):
        raise BadInputError(f"base model {name!r} cannot be loaded: {found['error_msgs'][0]}")


def require_no_adapter_inside(model: PreTrainedModel) -> None:
    """Refuse a loaded model whose layers contain a PEFT adapter.

    The settings of an adapter (scale, on or off) are not part of the weights, so fingerprints would
    not distinguish the models.

    Raises:
        BadInputError: If a layer has an adapter.
    """
    tuners: Any = sys.modules.get("peft.tuners.tuners_utils")
    kind = getattr(tuners, "BaseTunerLayer", None)
    if kind is not None and any(isinstance(module, kind) for module in model.modules()):
        raise BadInputError(
            "the model has a PEFT adapter in its layers; merge it first "
            "(PEFT: `model.merge_and_unload()`), or give the base without it"
        )


def require_fit(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer with ids beyond the rows of the base's embedding.

    A special token that neither text nor the chat template produces is allowed, since some
    tokenizer classes add one.

    Raises:
        UnsupportedModelError: If there are such tokens, or such an end token in the config.
    """
    rows = embedding_rows(base)
    vocabulary = {**tokenizer.get_vocab(), **tokenizer.get_added_vocab()}
    beyond = sorted(
        (index, token)
        for token, index in vocabulary.items()
        if index >= rows and not _never_used(tokenizer, token, index)
    )
    if beyond:
        named = _some([f"{token!r} is {index}" for index, token in beyond])
        raise UnsupportedModelError(
            f"the tokenizer has {len(beyond)} tokens beyond the {rows} rows of the model's "
            f"embedding ({named}); resize the embedding to the tokenizer and train the new rows "
            "(`resize_token_embeddings`), or use the tokenizer that belongs to the model"
        )
    ends = [index for index in declared_ends(base) or [] if not 0 <= index < rows]
    if ends:
        raise UnsupportedModelError(
            f"the model's config declares end token {ends[0]}, its embedding has {rows} rows; "
            "correct eos_token_id in config.json and generation_config.json"
        )


def embedding_rows(base: PreTrainedModel) -> int:
    """Return the number of token ids in the embedding of a base."""
    embedding: Any = base.get_input_embeddings()
    return int(embedding.num_embeddings)


def _never_used(tokenizer: PreTrainedTokenizerBase, token: str, index: int) -> bool:
    """Return whether a token is special, not in the chat template, and no start, end or padding."""
    added = tokenizer.added_tokens_decoder.get(index)
    return (
        added is not None
        and added.special
        and index not in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
        and token not in str(tokenizer.chat_template or "")
    )


def _some(names: Collection[str]) -> str:
    shown = list(names)[:_SHOWN]
    return ", ".join(shown) + (", ..." if len(names) > _SHOWN else "")
