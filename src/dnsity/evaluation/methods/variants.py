"""Names of methods with settings: `select:ratio=2`, `refine:minutes=1,gists=25`.

The settings in such a name override those of the run. Records contain the name in one canonical
form. A name without settings means the method with the settings of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import yaml

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.evaluation.method import Method, MethodSettings


class Variant(NamedTuple):
    """A method's name and the settings given with it, in canonical order."""

    method: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The canonical name, which records contain."""
        if not self.settings:
            return self.method
        written = (
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.settings.items()
        )
        return f"{self.method}:{','.join(written)}"

    def heading(self, method: type[Method]) -> str:
        """Return the name in tables.

        Args:
            method: The method's class.
        """
        shown, heading = dict(self.settings), method.heading
        if "top" in shown and "top-3" in heading:
            heading = heading.replace("top-3", f"top-{shown.pop('top')}")
        phrases = (
            method.phrases[key](value) if key in method.phrases else f"{key} {value}"
            for key, value in shown.items()
        )
        return ", ".join([heading, *phrases])


def parse(name: str, known: Mapping[str, type[Method]]) -> Variant:
    """Parse the name of a method, with or without settings.

    Args:
        name: For example `full` or `refine:minutes=1,gists=25`.
        known: Methods by name.

    Raises:
        BadInputError: If there is no such method, or it does not take such settings.
    """
    method, colon, written = (part.strip() for part in name.partition(":"))
    if method not in known:
        raise BadInputError(f"no method {method!r}; known are {', '.join(known)}")
    takes = known[method].takes
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
        given[key] = value if _is_text(key) else _value(name, key, value)
    validated(MethodSettings, given, f"method {name!r}")
    settings = validated(known[method].settings_model, given, f"method {name!r}")
    return Variant(method, {key: getattr(settings, key) for key in takes if key in given})


def rejoined(names: Sequence[str]) -> list[str]:
    """Rejoin names that were split at the commas between their settings."""
    whole: list[str] = []
    for name in names:
        if whole and ":" in whole[-1] and "=" in name and ":" not in name.partition("=")[0]:
            whole[-1] += f",{name.strip()}"
        else:
            whole.append(name)
    return whole


def _is_text(key: str) -> bool:
    """Return whether a setting is text, which is not parsed as YAML."""
    annotation = MethodSettings.model_fields[key].annotation
    return annotation is str or str in get_args(annotation)


def _value(name: str, key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BadInputError(f"method {name!r}: {key} cannot be {value!r}") from error
