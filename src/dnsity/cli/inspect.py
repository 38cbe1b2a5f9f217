"""`dnsity inspect` and `dnsity verify`: what a gist file says, and whether it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Device, Json, Model, load_model
from dnsity.evaluation.units import data_size

File = Annotated[Path, typer.Argument(help="A *.gist.safetensors file.")]


def inspect(file: File, json: Json = False) -> None:
    """Show what a gist file holds; needs no model."""
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
        "method": " ".join([info.method, *(f"{k}={v}" for k, v in info.settings.items())]),
        "document": f"{info.n_context:,} tokens, {info.characters:,} characters, "
        f"{info.n_chunks} chunk{'s' if info.n_chunks > 1 else ''}",
        "gists": f"{info.n_gist} ({gist.compression_ratio:.0f}x)",
        "keys/values": f"{data_size(gist.kv_bytes)} (document: {data_size(info.full_kv_bytes)})",
        "tensors": f"{len(gist.layers)} layers x {keys.shape[1]} heads x {keys.shape[3]}, "
        f"{str(keys.dtype).removeprefix('torch.')}",
    }
    for name, value in rows.items():
        say(f"{name:12} {value}")


def verify(file: File, model: Model = "mini", device: Device = "cpu", json: Json = False) -> None:
    """Check that a gist file is intact and was made by this model."""
    from dnsity.inference.gist_cache import GistCache

    gist = GistCache.load(file)
    load_model(model, device).loaded.require_own(gist)
    if json:
        show_json({"path": str(file), "intact": True, "model": model})
    else:
        say(f"{file}: intact, made by {model}")
