"""Using a base model that the caller has loaded."""

from __future__ import annotations

import copy
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.model.architectures import require_supported
from dnsity.model.base import ATTENTION
from dnsity.model.ends import declared_ends
from dnsity.model.loading_checks import require_fit, require_no_adapter_inside


def borrow(model: Any, tokenizer: Any) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a copy of a caller's model that shares its weights, and the tokenizer.

    Its modules, config and generation config are copies, so that changes such as evaluation mode do
    not affect the caller's model. The weights are the same tensors and use no additional memory.

    Args:
        model: A causal LM of transformers.
        tokenizer: Its tokenizer.

    Raises:
        BadInputError: If either is missing or of another type, or if layers have an adapter.
        UnsupportedModelError: If the attention implementation is not in `ATTENTION`, or if the
            tokenizer has ids beyond the embedding.
    """
    if not isinstance(model, PreTrainedModel):
        raise BadInputError(
            f"found a {type(model).__name__} as model; give a name, or a causal language model of "
            "transformers (of a PEFT model: `model.merge_and_unload()`)"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        found = "no tokenizer" if tokenizer is None else f"a {type(tokenizer).__name__}"
        raise BadInputError(
            f"found {found} with a model in memory; give the model and its tokenizer: "
            "from_base(model, tokenizer)"
        )
    require_no_adapter_inside(model)
    used = model.config._attn_implementation
    if isinstance(used, dict) or used not in ATTENTION:
        raise UnsupportedModelError(
            f"the model uses attention implementation {used!r}; allowed are "
            f"{', '.join(a for a in ATTENTION if a)}; call model.set_attn_implementation('sdpa')"
        )
    require_supported(model.config)
    require_fit(model, tokenizer)
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    own = copy.deepcopy(model, shared)
    own.generation_config = GenerationConfig(eos_token_id=declared_ends(model))
    return own, tokenizer
