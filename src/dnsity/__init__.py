"""dnsity: compress a long document into a few gist tokens and answer questions from them.

>>> from dnsity import GistModel
>>> model = GistModel.from_pretrained("mini")
>>> gist = model.compress(open("handbook.txt", encoding="utf-8").read())
>>> model.ask(gist, "What is the passkey?").text
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnsity.errors import (
        BadInputError,
        DamagedFileError,
        DnsityError,
        GistMismatchError,
        UnsupportedModelError,
    )
    from dnsity.gist.spec import GistSpec
    from dnsity.inference.generate import Answer, Sampling
    from dnsity.inference.gist_cache import GistCache
    from dnsity.inference.gist_model import GistModel

__version__ = "0.1.0"

_HOME = {
    "Answer": "inference.generate",
    "BadInputError": "errors",
    "DamagedFileError": "errors",
    "DnsityError": "errors",
    "GistCache": "inference.gist_cache",
    "GistMismatchError": "errors",
    "GistModel": "inference.gist_model",
    "GistSpec": "gist.spec",
    "Sampling": "inference.generate",
    "UnsupportedModelError": "errors",
}

__all__ = [
    "Answer",
    "BadInputError",
    "DamagedFileError",
    "DnsityError",
    "GistCache",
    "GistMismatchError",
    "GistModel",
    "GistSpec",
    "Sampling",
    "UnsupportedModelError",
]


def __dir__() -> list[str]:
    """List the public names, including those not yet imported."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import dnsity` is fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'dnsity' has no attribute {name!r}")
    return getattr(import_module(f"dnsity.{_HOME[name]}"), name)
