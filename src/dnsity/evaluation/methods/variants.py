"""Names of methods with settings of their own: `select:ratio=2`, `refine:minutes=1,gists=25`.

A variant is a method whose settings override those of the run. Its name, in one canonical form, is
the method of its records; a name without settings is the method as the run sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.evaluation.method import MethodSettings

_TAKES = {
    "gist": ("gists",),
    "gist_wrong_document": ("gists",),
    "gist_untrained": ("gists",),
    "refine": ("minutes", "steps", "gists"),
    "refine_from_keys": ("minutes", "steps", "gists"),
    "select": ("ratio", "even"),
    "rag": ("top", "chunk_tokens"),
    "rag_equal_kv": ("gists",),
    "rag_dense": ("top", "chunk_tokens", "dense_model"),
    "truncate": ("top", "chunk_tokens"),
    "lead_equal_kv": ("gists",),
    "summary_equal_kv": ("gists",),
}
"""Settings that change what a method does, in the order of a canonical name; others take none."""
_SAID: Mapping[str, Callable[[Any], str]] = {
    "ratio": lambda ratio: f"{ratio:g}x",
    "even": lambda even: "same for every head" if even else "shared by all heads",
    "minutes": lambda minutes: f"{minutes:g} min",
    "steps": lambda steps: f"{steps} steps",
    "gists": lambda gists: f"{gists} slots",
    "top": lambda top: f"top {top}",
    "chunk_tokens": lambda tokens: f"chunks of {tokens} tokens",
    "dense_model": lambda model: model.rstrip("/").rpartition("/")[2],
}
"""What tables say of a setting."""


class Variant(NamedTuple):
    """A method's name, and its own settings in canonical order."""

    method: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The canonical name: that of its records."""
        if not self.settings:
            return self.method
        written = (
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.settings.items()
        )
        return f"{self.method}:{','.join(written)}"

    def over(self, settings: MethodSettings) -> MethodSettings:
        """Return a run's settings, overridden by the variant's own."""
        return settings.model_copy(update=dict(self.settings))

    def heading(self, method: str) -> str:
        """Return what tables call it.

        Args:
            method: What they call the method.
        """
        said = dict(self.settings)
        if "top" in said and "top-3" in method:
            method = method.replace("top-3", f"top-{said.pop('top')}")
        return ", ".join([method, *(_SAID[key](value) for key, value in said.items())])


def parse(name: str, known: Iterable[str]) -> Variant:
    """Read the name of a method, with or without settings.

    Args:
        name: For example `full` or `refine:minutes=1,gists=25`.
        known: Names of methods.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    method, colon, written = (part.strip() for part in name.partition(":"))
    if method not in known:
        raise BadInputError(f"no method {method!r}; known are {', '.join(known)}")
    takes = _TAKES.get(method, ())
    allowed = f"it takes {', '.join(takes)}" if takes else "it takes none"
    given: dict[str, Any] = {}
    for part in written.split(",") if colon else ():
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or not value or key in given:
            raise BadInputError(
                f"method {name!r}: {part.strip()!r} is no setting; write each once as key=value, "
                f"for example select:ratio=2; {allowed}"
            )
        if key not in takes:
            raise BadInputError(f"method {name!r} has no setting {key!r}; {allowed}")
        given[key] = value if key == "dense_model" else _value(name, key, value)
    settings = validated(MethodSettings, given, f"method {name!r}")
    return Variant(method, {key: getattr(settings, key) for key in takes if key in given})


def rejoined(names: Sequence[str]) -> list[str]:
    """Put names back together that a list has split at the commas between their settings."""
    whole: list[str] = []
    for name in names:
        if whole and ":" in whole[-1] and "=" in name and ":" not in name.partition("=")[0]:
            whole[-1] += f",{name.strip()}"
        else:
            whole.append(name)
    return whole


def _value(name: str, key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadInputError(f"method {name!r}: {key} cannot be {value!r}") from error
