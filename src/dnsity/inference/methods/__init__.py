"""Compression methods by name; each makes gist caches in the same format.

    gist      trained gist tokens, one pass             needs a gist checkpoint
    refine    slots trained for one document            any base model; minutes
    select    some of the document's own keys           any base model; seconds

To add a method, write one file with a subclass of `Compressor` and import the class here. The
import registers it: the command line, `GistModel.compress` and evaluations then know it by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dnsity.config import configured
from dnsity.errors import BadInputError
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.compressor import Compressor
from dnsity.inference.methods.gist import Gist
from dnsity.inference.methods.refine import Refine
from dnsity.inference.methods.select import Select

__all__ = ["COMPRESSORS", "Compressor", "Gist", "Refine", "Select"]

COMPRESSORS: dict[str, type[Compressor]] = {
    method.name: method
    for method in sorted(
        Compressor.__subclasses__(), key=lambda one: (not one.by_default, one.name)
    )
}
"""The methods imported above; those of default evaluations come first in tables.

This module runs before any other can import `Compressor`, so subclasses elsewhere are not included.
"""


def build_compressor(
    name: str, settings: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Compressor:
    """Build a compression method by name.

    Args:
        name: Name of the method.
        settings: Settings by name; a value of None means the method's default.
        overrides: Further settings, `key=value` each; the value is parsed as YAML.

    Raises:
        BadInputError: If there is no such method, or it does not accept a setting.
    """
    if name not in COMPRESSORS:
        raise BadInputError(f"no method {name!r}; known are {', '.join(COMPRESSORS)}")
    method = COMPRESSORS[name]
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    names = [override.partition("=")[0].strip() for override in overrides]
    for key in names:
        if key in given or names.count(key) > 1:
            raise BadInputError(f"--method {name}: {key} is given twice; give it once")
        if key in method.model_fields and key not in method.setting_names():
            raise BadInputError(
                f"--method {name}: {key} cannot be set; allowed are "
                f"{', '.join(method.setting_names())}"
            )
    return configured(method, given, overrides, f"--method {name}")


def require_trained(loaded: LoadedModel, method: Compressor) -> None:
    """Refuse a method that needs trained gist tokens if the model has none.

    Raises:
        BadInputError: If the model is a plain base; the message names the other methods.
    """
    if method.needs_gists and not loaded.trained:
        others = " or ".join(
            f"--method {name} ({other.cost})"
            for name, other in COMPRESSORS.items()
            if not other.needs_gists
        )
        raise BadInputError(
            f"{loaded.name} is a base model without trained gists; use {others}, or train gists on "
            "it with dnsity train"
        )


def with_state_file(method: Compressor, output: Path) -> Compressor:
    """Return the method with a state file next to the output, if it can resume."""
    if "state" not in type(method).model_fields:
        return method
    return method.model_copy(update={"state": output.with_name(f".{output.name}.state")})


def remove_state_files(method: Compressor) -> None:
    """Remove the state files of a method whose gist is saved, those of its chunks included."""
    state: Path | None = getattr(method, "state", None)
    if state is not None:
        for path in list(state.parent.iterdir()):
            if path.name == state.name or path.name.startswith(f"{state.name}."):
                path.unlink(missing_ok=True)
