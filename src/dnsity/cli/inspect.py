"""`dnsity inspect` and `dnsity verify`: what a gist file says, and whether it can be trusted."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Device, GistsModel, Json, load_model, load_model_of
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.io.units import data_size

File = Annotated[Path, typer.Argument(help="A *.gist.safetensors file.")]


def inspect(file: File, json: Json = False) -> None:
    """Show what a gist file holds; needs no model.

    Example: dnsity inspect handbook.gist.safetensors
    """
    from dnsity.inference.gist_cache import GistCache

    gist = GistCache.load(file)
    info = gist.info
    keys = gist.layers[0][0]
    if json:
        show_json(
            {
                **info.model_dump(mode="json"),
                "compression_ratio": gist.compression_ratio,
                "gist_kv_bytes": gist.kv_bytes,
                "layers": len(gist.layers),
                "kv_heads": keys.shape[1],
                "head_dim": keys.shape[3],
                "dtype": str(keys.dtype).removeprefix("torch."),
            }
        )
        return
    rows = {
        "model": f"{info.model} ({info.base.get('model_type')})",
        "frame": info.frame,
        "method": " ".join([info.method, *(f"{k}={v}" for k, v in info.settings.items())]),
        "document": f"{info.n_context:,} tokens, {info.characters:,} characters, "
        f"{info.n_chunks} chunk{'s' if info.n_chunks > 1 else ''}",
        "gists": f"{info.n_gist} ({gist.compression_ratio:.0f}x)",
        "keys/values": f"{data_size(gist.kv_bytes)} (document: {data_size(info.full_kv_bytes)})",
        "tensors": f"{len(gist.layers)} layers x {keys.shape[1]} heads x {keys.shape[3]}, "
        f"{str(keys.dtype).removeprefix('torch.')}",
    }
    if info.slots is not None:
        each = [count for layer in info.slots for count in layer]
        rows["slots"] = f"{min(each)} to {max(each)} in a head, {info.positions} positions"
    if info.check is not None:
        rows["check"] = str(info.check) + ("" if info.check.passed else ": below the floor")
    for name, value in rows.items():
        say(f"{name:12} {value}")


def verify(
    file: Annotated[Path | None, typer.Argument(help="A *.gist.safetensors file.")] = None,
    model: GistsModel = None,
    leak: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Check instead that no document passes this model's gists."
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every single weight; seconds for a large model.")
    ] = False,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Check a gist file, or a model for leaks.

    A file is to be intact and made by this model.

    Example: dnsity verify handbook.gist.safetensors
    """
    if (file is None) == (leak is None):
        raise BadInputError("give either a gist file or --leak MODEL")
    if leak is not None:
        if deep:
            raise BadInputError("--deep checks a gist file; leave it out with --leak")
        _verify_model(leak, device, json)
        return
    from dnsity.inference.gist_cache import GistCache

    assert file is not None
    gist = GistCache.load(file)
    loaded = load_model_of(gist, model, device).loaded
    loaded.require_own(gist)
    if deep:
        loaded.require_own_weights(gist)
    if json:
        show_json({"path": str(file), "intact": True, "model": loaded.name, "deep": deep})
    else:
        say(f"{file}: intact, made by {loaded.name}" + (", to every weight" if deep else ""))


def _verify_model(name: str, device: str, json: bool) -> None:
    """Check that nothing but gists carries a document to the answer.

    Raises:
        UnsupportedModelError: If something does, or if the check cannot tell.
    """
    from dnsity.model.leak import leak

    found = leak(load_model(name, device).loaded.lm)
    if found.found:
        raise UnsupportedModelError(
            f"{name} leaks: with its gists cut off, another document still changes the question's "
            f"logits by {found.past_gists:.1e}, allowed is 0; do not use this base for gists"
        )
    if not found.can_fail:
        raise UnsupportedModelError(
            f"{name} ignores documents: even through its gists another document changes no logit, "
            "so the check proves nothing; is the model damaged?"
        )
    if json:
        show_json({"model": name, "leaks": False, **asdict(found)})
    else:
        say(
            f"{name}: no leak. With its gists cut off, {found.swaps} other documents changed the "
            f"question's logits by exactly 0; through the gists by up to {found.through_gists:.2g}"
        )
