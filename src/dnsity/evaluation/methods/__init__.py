"""The methods, by name."""

from __future__ import annotations

from collections.abc import Callable

from dnsity.errors import BadInputError
from dnsity.evaluation.method import Method
from dnsity.evaluation.methods.full import FullContext
from dnsity.evaluation.methods.gist import Gist, GistOfWrongDocument
from dnsity.evaluation.methods.none import NoContext
from dnsity.evaluation.methods.rag import Rag
from dnsity.inference.loaded import LoadedModel

METHODS: dict[str, Callable[[LoadedModel], Method]] = {
    method.name: method for method in (Gist, GistOfWrongDocument, FullContext, Rag, NoContext)
}


def build(name: str, loaded: LoadedModel) -> Method:
    """Build a method for a model.

    Raises:
        BadInputError: If there is no such method.
    """
    if name not in METHODS:
        raise BadInputError(f"no method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name](loaded)
