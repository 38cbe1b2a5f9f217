"""The methods, by name; a name may carry settings, see `variants`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnsity.errors import BadInputError
from dnsity.evaluation.method import Method, MethodSettings
from dnsity.evaluation.methods.gist import Gist, GistOfWrongDocument, UntrainedGist
from dnsity.evaluation.methods.none import NoContext
from dnsity.evaluation.methods.own_keys import Refined, RefinedFromKeys, Selected
from dnsity.evaluation.methods.rag import Rag, RagDense, RagEqualKv
from dnsity.evaluation.methods.reading import FullContext, Lead, StoredFullContext, Truncated
from dnsity.evaluation.methods.summary import Summary
from dnsity.evaluation.methods.variants import Variant, parse, rejoined
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
    """Build a method for a model.

    Args:
        name: Of a method or of a variant of one.
        loaded: Model and tokenizer.
        settings: Those of the run; a variant's own override them.
        reserve: See `Method`.

    Raises:
        BadInputError: If there is no such method or setting, or the model lacks the trained gists.
    """
    wanted = variant(name)
    method = METHODS[wanted.method]
    if method.needs_gists and not loaded.trained:
        raise BadInputError(
            f"{loaded.name} is a base model without gists, so it has no method {name!r}; train "
            "gists on it (dnsity train), or leave the method out"
        )
    built = method(loaded, wanted.over(settings or MethodSettings()), reserve)
    built.label = wanted.name
    return built


def variant(name: str) -> Variant:
    """Read the name of a method, with or without settings.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    return parse(name, METHODS)


def listed(names: Sequence[str]) -> list[str]:
    """Return the canonical names of a list of methods, each once.

    Args:
        names: As configured; `refine:minutes=1,gists=25` may be split at its comma.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    return list(dict.fromkeys(variant(name).name for name in rejoined(names)))


def among(methods: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return the methods that a list names; a name without settings names every variant."""
    return [name for name in methods if name in wanted or variant(name).method in wanted]


def known(name: str) -> bool:
    """Say whether a name is that of a method, with or without settings."""
    try:
        variant(name)
    except BadInputError:
        return False
    return True


def class_of(name: str) -> type[Method]:
    """Return the method that a name stands for, whatever its settings."""
    return METHODS[variant(name).method]


def heading(name: str) -> str:
    """Return what tables call a method, with its settings: `selected keys, 2x`."""
    found = variant(name)
    return found.heading(METHODS[found.method].heading)


def ordered(names: Iterable[str]) -> list[str]:
    """Sort names into the order of tables; variants of one method keep theirs."""
    places = list(METHODS)
    return sorted(dict.fromkeys(names), key=lambda name: places.index(variant(name).method))
