"""Evaluation methods by name; a name may carry settings, see `variants`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnsity.errors import BadInputError
from dnsity.evaluation.method import Method, MethodSettings
from dnsity.evaluation.methods.compressed import compressed_methods
from dnsity.evaluation.methods.none import NoContext
from dnsity.evaluation.methods.rag import Rag, RagDense, RagEqualKv
from dnsity.evaluation.methods.reading import FullContext, Lead, StoredFullContext, Truncated
from dnsity.evaluation.methods.summary import Summary
from dnsity.evaluation.methods.variants import Variant, parse, rejoined
from dnsity.inference.loaded import LoadedModel

_METHODS: tuple[type[Method], ...] = (
    *compressed_methods(),
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
METHODS: dict[str, type[Method]] = {method.name: method for method in _METHODS}
"""All methods, in the order of tables."""


def build(
    name: str, loaded: LoadedModel, settings: MethodSettings | None = None, reserve: int = 256
) -> Method:
    """Build a method for a model.

    Args:
        name: Name of a method, with or without settings.
        loaded: Model and tokenizer.
        settings: Settings of the run; settings in the name override them.
        reserve: See `Method`.

    Raises:
        BadInputError: If there is no such method or setting, or the model has no trained gists.
    """
    wanted = variant(name)
    method = METHODS[wanted.method]
    if method.needs_gists and not loaded.trained:
        raise BadInputError(
            f"{loaded.name} is a base model without gists, so it has no method {name!r}; train "
            "gists on it (dnsity train), or leave the method out"
        )
    built = method(loaded, _merged(wanted, settings or MethodSettings()), reserve)
    built.label = wanted.name
    return built


def check_settings(name: str, settings: MethodSettings) -> None:
    """Refuse settings of a run that a method does not accept.

    Args:
        name: Name of a method, with or without settings.
        settings: Settings of the run.

    Raises:
        BadInputError: If settings are out of range or exclude each other.
    """
    wanted = variant(name)
    METHODS[wanted.method].configured(_merged(wanted, settings), wanted.name)


def _merged(wanted: Variant, settings: MethodSettings) -> MethodSettings:
    """Return the settings of a run, overridden by those of a variant."""
    unset = dict.fromkeys(METHODS[wanted.method].unshared)
    return settings.model_copy(update={**unset, **wanted.settings})


def variant(name: str) -> Variant:
    """Parse the name of a method, with or without settings.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    return parse(name, METHODS)


def canonical_names(names: Sequence[str]) -> list[str]:
    """Return the canonical names of a list of methods, each once.

    Args:
        names: Configured names; `refine:minutes=1,gists=25` may be split at its comma.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    return list(dict.fromkeys(variant(name).name for name in rejoined(names)))


def among(methods: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Return the methods that are in a list; a name without settings means every variant."""
    return [name for name in methods if name in wanted or variant(name).method in wanted]


def is_known(name: str) -> bool:
    """Return whether a name is that of a method, with or without settings."""
    try:
        variant(name)
    except BadInputError:
        return False
    return True


def class_of(name: str) -> type[Method]:
    """Return the method class of a name, with or without settings."""
    return METHODS[variant(name).method]


def heading(name: str) -> str:
    """Return a method's name in tables, with its settings: `selected keys, 2x`."""
    found = variant(name)
    return found.heading(METHODS[found.method])


def ordered(names: Iterable[str]) -> list[str]:
    """Sort names into the order of tables; variants of one method keep their order."""
    places = list(METHODS)
    return sorted(dict.fromkeys(names), key=lambda name: places.index(variant(name).method))
