"""`dnsity inspect` and `dnsity verify`: describe and check gist files."""

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
    """Describe a gist file; needs no model.

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
        "KV cache": f"{data_size(gist.kv_bytes)} (document: {data_size(info.full_kv_bytes)})",
        "tensors": f"{len(gist.layers)} layers x {keys.shape[1]} heads x {keys.shape[3]}, "
        f"{str(keys.dtype).removeprefix('torch.')}",
    }
    if info.slots is not None:
        each = [count for layer in info.slots for count in layer]
        rows["slots"] = f"{min(each)} to {max(each)} per head, {info.positions} positions"
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
            metavar="MODEL",
            help="Check this model for leaks, instead of a gist file.",
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every weight; takes seconds for a large model.")
    ] = False,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Check a gist file, or a model for leaks.

    A gist file passes if it is intact and was made by this model.

    Example: dnsity verify handbook.gist.safetensors
    """
    if (file is None) == (leak is None):
        raise BadInputError("give either a gist file or --leak MODEL")
    if leak is not None:
        if deep:
            raise BadInputError("--deep checks a gist file; omit it with --leak")
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
    """Check that a document reaches the answer through the gists only.

    Raises:
        UnsupportedModelError: If there is another way, or if the check is inconclusive.
    """
    from dnsity.model.leak import leak

    found = leak(load_model(name, device).loaded.lm)
    if found.found:
        raise UnsupportedModelError(
            f"{name} leaks: without access to the gists, another document still changes the "
            f"question's logits by {found.past_gists:.1e}, allowed is 0; do not use this base for "
            "gists"
        )
    if not found.can_fail:
        raise UnsupportedModelError(
            f"{name} ignores documents: another document changes no logit even through the gists, "
            "so the check proves nothing; is the model damaged?"
        )
    if json:
        show_json({"model": name, "leaks": False, **asdict(found)})
    else:
        say(
            f"{name}: no leak. Without access to the gists, {found.swaps} other documents changed "
            f"the question's logits by exactly 0; with it by up to {found.through_gists:.2g}"
        )
