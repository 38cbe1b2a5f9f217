"""The methods, by name."""

from __future__ import annotations

from dnsity.errors import BadInputError
from dnsity.evaluation.method import Method, MethodSettings
from dnsity.evaluation.methods.gist import Gist, GistOfWrongDocument, UntrainedGist
from dnsity.evaluation.methods.none import NoContext
from dnsity.evaluation.methods.own_keys import Refined, RefinedFromKeys, Selected
from dnsity.evaluation.methods.rag import Rag, RagDense, RagEqualKv
from dnsity.evaluation.methods.reading import FullContext, Lead, StoredFullContext, Truncated
from dnsity.evaluation.methods.summary import Summary
from dnsity.inference.loaded import LoadedModel

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Gist,
        GistOfWrongDocument,
        UntrainedGist,
        Refined,
        RefinedFromKeys,
        Selected,
        FullContext,
        StoredFullContext,
        Rag,
        RagEqualKv,
        RagDense,
        Truncated,
        Lead,
        Summary,
        NoContext,
    )
}
"""In the order of tables."""


def build(
    name: str, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
) -> Method:
    """Build a method for a model; the arguments are those of `Method`.

    Raises:
        BadInputError: If there is no such method, or the model has no trained gists for it.
    """
    if name not in METHODS:
        raise BadInputError(f"no method {name!r}; known are {', '.join(METHODS)}")
    method = METHODS[name]
    if method.needs_gists and not loaded.trained:
        raise BadInputError(
            f"{loaded.name} is a base model without gists, so it has no method {name!r}; train "
            "gists on it (dnsity train), or leave the method out"
        )
    return method(loaded, settings, reserve)
