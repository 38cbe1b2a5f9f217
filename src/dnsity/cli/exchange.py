"""`dnsity export` and `dnsity import`: convert gist files to PEFT adapters and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnsity.cli.console import say, show_json
from dnsity.cli.inspect import File
from dnsity.cli.options import Device, GistsModel, Json, load_model_of
from dnsity.cli.overwriting import require_replaceable
from dnsity.errors import BadInputError

if TYPE_CHECKING:
    from dnsity.inference.gist_cache import GistCache

Peft = Annotated[Path, typer.Option("--peft", help="Directory of a PEFT CARTRIDGE adapter.")]


def export(
    file: File,
    peft: Peft,
    base: Annotated[
        str | None,
        typer.Option(help="Name of the base model in the adapter (default: as in the gist)."),
    ] = None,
    model: GistsModel = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Write a gist as a PEFT adapter (CARTRIDGE).

    An adapter of a gist in the chat format includes the start of the chat template, for which the
    model is loaded. The prompt given to the adapter begins with the question.

    Example: dnsity export handbook.gist.safetensors --peft adapter/
    """
    from dnsity.inference.cartridge import export as write
    from dnsity.inference.cartridge import require_even
    from dnsity.inference.gist_cache import GistCache
    from dnsity.model.checkpoint import base_named

    gist = GistCache.load(file)
    require_even(gist)
    if base is not None:
        _require_same_shape(gist, base)
    head = None
    if gist.info.n_head:
        loaded = load_model_of(gist, model, device).loaded
        loaded.require_own(gist)
        dtype = gist.layers[0][0].dtype
        head = tuple((k.cpu().to(dtype), v.cpu().to(dtype)) for k, v in loaded.head or ())
    write(gist, peft, base or base_named(gist.info.model), head)
    tokens = gist.info.n_head + gist.info.n_gist
    if json:
        show_json({"path": str(peft), "gist_tokens": gist.info.n_gist, "virtual_tokens": tokens})
    else:
        say(f"saved {peft}: {tokens} virtual tokens")


def _require_same_shape(gist: GistCache, base: str) -> None:
    """Refuse a base on disk whose KV cache has another shape than the gist."""
    from dnsity.model.architectures import cache_shape
    from dnsity.model.base import any_config

    if not os.path.isdir(base):
        return  # a hub id is only written into the adapter
    layers, heads, width = cache_shape(any_config(base))
    found = (len(gist.layers), *gist.layers[0][0].shape[1::2])
    if found != (layers, heads, width):
        raise BadInputError(
            f"the gist has {found[0]} layers of {found[1]} key heads of width {found[2]}, {base} "
            f"has {layers} of {heads} of width {width}; give the base that it was made on, or omit "
            "--base"
        )


def import_(
    peft: Peft,
    output: Annotated[Path, typer.Option("--output", "-o", help="Gist file to write.")],
    json: Json = False,
) -> None:
    """Write a gist file from a PEFT adapter.

    Example: dnsity import --peft adapter/ -o handbook.gist.safetensors
    """
    from dnsity.inference.cartridge import read

    gist = read(peft)
    require_replaceable(output, lambda info: info == gist.info, chosen=True)
    gist.save(output)
    if json:
        show_json({"path": str(output), "gist_tokens": gist.info.n_gist})
    else:
        say(f"saved {output}")
