"""Ways to compress a document, by name; each is one file and makes the same kind of gist cache.

    gist      trained gist tokens, one pass            needs a gist checkpoint
    refine    slots of one document, trained           any base; minutes
    select    some of the document's own keys          any base; seconds

To add one: a file with a class like these, and a line in `METHODS`. A class says its `name`,
whether it `needs_gists`, whether documents gain by being `batched` and whether it `made` a gist
that is there; if its work can be gone on with, it has a setting `state`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.inference.methods.gist import Gist
from dnsity.inference.methods.refine import Refine
from dnsity.inference.methods.select import Select

Method: TypeAlias = Gist | Refine | Select
"""Settings of a method, which can `compress`."""

METHODS: dict[str, type[Method]] = {method.name: method for method in (Gist, Refine, Select)}


def method_of(name: str, **settings: Any) -> Method:
    """Build a method by name; settings that are None are left to it.

    Raises:
        BadInputError: If there is no such method, or it does not take a setting.
    """
    if name not in METHODS:
        raise BadInputError(f"no method {name!r}; known are {', '.join(METHODS)}")
    given = {key: value for key, value in settings.items() if value is not None}
    return validated(METHODS[name], given, f"--method {name}")


def resumable(method: Method, output: Path) -> Method:
    """Let a method that can go on after a stop keep its state beside the file it will write."""
    if "state" not in type(method).model_fields:
        return method
    return method.model_copy(update={"state": output.with_name(f".{output.name}.state")})


def finished(method: Method) -> None:
    """Remove the state of a method whose gist is saved, that of each chunk included."""
    state: Path | None = getattr(method, "state", None)
    if state is not None:
        for path in list(state.parent.iterdir()):
            if path.name == state.name or path.name.startswith(f"{state.name}."):
                path.unlink(missing_ok=True)
