"""What is computed is what is stored: nothing left out, nothing made up, nothing on top.

The library goes on, with a line in the log at most, where a config has no place for stored tensors
and where tensors are missing. The model that answers is then another one than was asked for. Such
bases are refused: missing tensors when a base is loaded, unused ones when gists are to be made of
it (`GistLM`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.model.ends import declared_ends

COMPUTED = ("inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached", "masked_bias")
"""Ends of the names of stored tensors that every model computes by itself."""
_SHOWN = 5


_UNUSED = "dnsity_unused_tensors"


def note_unused(base: PreTrainedModel, name: str, names: Collection[str]) -> None:
    """Note on a base which stored tensors it has no place for.

    Args:
        base: As it was loaded.
        name: What was loaded.
        names: Of tensors that are stored and were not loaded.
    """
    setattr(base, _UNUSED, (name, sorted(n for n in names if not n.endswith(COMPUTED))))


def require_all_used(base: PreTrainedModel) -> None:
    """Refuse a base that was loaded without some of its stored tensors.

    Raises:
        BadInputError: Naming them.
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
    """Refuse a base that the library reports as less than what its config asks for.

    Args:
        name: What was loaded.
        found: The library's loading information.

    Raises:
        BadInputError: Naming the missing or mismatched tensors.
    """
    missing = sorted(found["missing_keys"])
    if missing:  # the library would go on with random numbers in their place
        raise BadInputError(
            f"base model {name!r} is incomplete: {len(missing)} tensors are missing, "
            f"for example {missing[0]}; copy or download it again"
        )
    mismatched = sorted(str(each[0]) for each in found["mismatched_keys"])
    if mismatched:
        raise BadInputError(
            f"base model {name!r} has {len(mismatched)} tensors of another shape than its config "
            f"asks for ({_some(mismatched)}); copy or download it again"
        )
    if found.get("error_msgs"):
        raise BadInputError(f"base model {name!r} cannot be loaded: {found['error_msgs'][0]}")


def require_no_adapter_inside(model: PreTrainedModel) -> None:
    """Refuse a model in memory whose layers carry a PEFT adapter.

    Its settings (scale, on or off) are no part of the weights, so no fingerprint would tell the
    models apart.

    Raises:
        BadInputError: If a layer does.
    """
    tuners: Any = sys.modules.get("peft.tuners.tuners_utils")
    kind = getattr(tuners, "BaseTunerLayer", None)
    if kind is not None and any(isinstance(module, kind) for module in model.modules()):
        raise BadInputError(
            "the model has a PEFT adapter in its layers; merge it first "
            "(PEFT: `model.merge_and_unload()`), or give the base without it"
        )


def require_fit(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that has ids beyond the rows of the base's embedding.

    A special token that no text becomes and no template writes is harmless there: some tokenizer
    classes add one by themselves.

    Raises:
        UnsupportedModelError: Naming the tokens, or the ids that the config declares.
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
    """Return how many token ids a base has an embedding for."""
    embedding: Any = base.get_input_embeddings()
    return int(embedding.num_embeddings)


def _never_used(tokenizer: PreTrainedTokenizerBase, token: str, index: int) -> bool:
    """Say whether a token is special and is written neither by the template nor as an end."""
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
