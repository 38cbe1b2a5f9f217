"""Checks shape annotations while the tests run, with jaxtyping's import hook and typeguard.

Only annotations with arrays are checked. Wrong types of other arguments belong to the interface:
they have messages and tests of their own. typeguard, unlike beartype, leaves Python's random state
as it is, which tests compare.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typeguard
from jaxtyping import install_import_hook

SOURCE = Path(__file__).resolve().parents[1] / "src"
_USES = re.compile(r"^from (?:jaxtyping|dnsity\.shapes) import ", re.MULTILINE)
_ALIASES = re.compile(r"^(\w+): TypeAlias = ", re.MULTILINE)
_SHAPES = SOURCE / "dnsity" / "shapes.py"
_ARRAY = re.compile(
    rf"\b(Float|Int|Bool|{'|'.join(_ALIASES.findall(_SHAPES.read_text('utf-8')))})\b"
)


def modules() -> list[str]:
    """Return every module with array annotations."""
    paths = [path.relative_to(SOURCE) for path in (SOURCE / "dnsity").rglob("*.py")]
    used = [path for path in paths if _USES.search((SOURCE / path).read_text("utf-8"))]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in used]
    return sorted(set(names) - {"dnsity.shapes"})


def install() -> None:
    """Check the annotations of these modules, which must not be imported yet."""
    install_import_hook(modules(), "shapes_checked.check")


def check(checked: Any) -> Any:
    """Check the arrays of a function at every call; classes are unchanged."""
    if not isinstance(checked, types.FunctionType):
        return checked
    wanted = _of_arrays(checked.__annotations__)
    if not wanted:
        return checked
    signature = inspect.signature(checked)

    @functools.lru_cache(maxsize=1)
    def hints() -> dict[str, Any]:
        """Evaluate the annotations; at the first call, when all imports are done."""
        names = vars(sys.modules[checked.__module__])
        return {n: eval(a, names) if isinstance(a, str) else a for n, a in wanted.items()}

    @functools.wraps(checked)
    def call(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named).arguments
        for name, hint in hints().items():
            if name in bound:
                several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
                for value in bound[name] if several else (bound[name],):
                    _check(name, value, hint)
        result = checked(*arguments, **named)
        if "return" in hints():
            _check("the result", result, hints()["return"])
        return result

    return call


def _of_arrays(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations that mention arrays, written or evaluated."""
    texts = {n: a if isinstance(a, str) else repr(a) for n, a in annotations.items()}
    return {name: annotations[name] for name, text in texts.items() if _ARRAY.search(text)}


def _check(name: str, value: Any, hint: Any) -> None:
    strategy = typeguard.CollectionCheckStrategy.ALL_ITEMS
    try:
        typeguard.check_type(value, hint, collection_check_strategy=strategy)
    except typeguard.TypeCheckError as error:
        raise TypeError(f"{name}: {error}") from error
