"""A gist as a PEFT CARTRIDGE adapter, and back: the same keys and values in PEFT's layout.

    DIR/adapter_config.json          configuration for PEFT's `PeftModel.from_pretrained`
    DIR/adapter_model.safetensors    prompt_embeddings [H + G, L * 2 * K * D]
    DIR/gist_info.json               description of the gist, for import

The slots of the frame's head, if there is one, and of the gist have positions 0..H+G-1, the same
positions as a cartridge in PEFT: no key is rotated. A prompt for the adapter begins after the
document.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dnsity.errors import BadInputError, DamagedFileError, first_line
from dnsity.inference.gist_cache import GistCache, GistInfo
from dnsity.io.atomic import atomic_path, write_json
from dnsity.model.finite import require_finite
from dnsity.model.key_values import concatenate
from dnsity.shapes import KeyValues

INFO_FILE = "gist_info.json"
_WEIGHTS, _TENSOR = "adapter_model.safetensors", "prompt_embeddings"
_CONFIG, _OTHER_WEIGHTS = "adapter_config.json", ("adapter_model.bin",)


def export(gist: GistCache, directory: Path, base_name: str, head: KeyValues | None = None) -> Path:
    """Write a gist as a CARTRIDGE adapter; the base gives the same logits with it.

    Args:
        gist: The gist.
        directory: Target; created.
        base_name: Directory or hub id of the base model, for the adapter's config.
        head: Keys and values of the frame's head, `[1, K, H, D]` per layer; required if the
            gist was made in a frame with a head.

    Returns:
        The directory.

    Raises:
        BadInputError: If layers differ in shape, which PEFT cannot express, the directory cannot
            be written or contains another adapter, or the gist has numbers that are not finite.
    """
    require_finite(gist.layers, f"{directory} is not written, the gist cannot be used")
    require_even(gist)
    from peft import CartridgeConfig
    from peft.tuners.cartridge.utils import prompt_embeddings_from_past_key_values

    found = 0 if head is None else head[0][0].shape[2]
    if found != gist.info.n_head:
        raise BadInputError(
            f"the gist follows a head of {gist.info.n_head} tokens and {found} were given; load "
            "the model it was made with"
        )
    layers = gist.layers if head is None else concatenate(head, gist.layers)
    shapes = {tuple(tensor.shape) for layer in layers for tensor in layer}
    if len(shapes) > 1:
        raise BadInputError(
            f"keys and values have shapes {sorted(shapes)}; a CARTRIDGE adapter needs one for all, "
            "use the gist file with dnsity"
        )
    _, heads, slots, width = layers[0][0].shape
    config = CartridgeConfig(
        task_type="CAUSAL_LM",
        inference_mode=True,
        base_model_name_or_path=base_name,
        num_virtual_tokens=slots,
        num_frozen_tokens=max(found, min(1, slots)),
        num_layers=len(gist.layers),
        num_attention_heads=heads,
        token_dim=heads * width,
        num_transformer_submodules=1,
    )
    flat = prompt_embeddings_from_past_key_values(layers, num_virtual_tokens=slots)
    _require_own(directory, flat)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with atomic_path(directory / _WEIGHTS) as temporary:
            save_file({_TENSOR: flat.cpu().contiguous()}, temporary)
        config.save_pretrained(str(directory))
        write_json(directory / INFO_FILE, gist.info.model_dump(mode="json"))
    except OSError as error:
        raise BadInputError(
            f"cannot write {directory}: {error.strerror or error}; choose another with --peft"
        ) from error
    return directory


def require_even(gist: GistCache) -> None:
    """Refuse a gist whose heads have different numbers of slots.

    Raises:
        BadInputError: If they differ.
    """
    if gist.info.slots is not None:
        raise BadInputError(
            "heads of this gist hold different numbers of slots, a CARTRIDGE adapter needs the "
            "same for all; compress the document again with --even"
        )


def _require_own(directory: Path, flat: torch.Tensor) -> None:
    """Refuse a directory with another adapter; the same gist may be exported again."""
    files = [directory / name for name in (_WEIGHTS, _CONFIG, INFO_FILE, *_OTHER_WEIGHTS)]
    if not any(map(os.path.lexists, files)):
        return
    try:
        there = load_file(directory / _WEIGHTS)[_TENSOR]
        same = there.dtype == flat.dtype and torch.equal(there, flat.cpu())
    except (OSError, ValueError, KeyError, SafetensorError):
        same = False
    if not same:
        raise BadInputError(
            f"{directory} holds another adapter, which is not replaced; choose another directory "
            "with --peft, or remove this one first"
        )


def read(directory: Path) -> GistCache:
    """Read a CARTRIDGE adapter that `export` wrote, even if PEFT has trained it since.

    Raises:
        BadInputError: If it is not such an adapter.
        DamagedFileError: If its tensor does not match its description.
    """
    from peft import PeftConfig

    try:
        info = GistInfo.model_validate_json((directory / INFO_FILE).read_text(encoding="utf-8"))
        config: Any = PeftConfig.from_pretrained(str(directory))
        flat = load_file(directory / _WEIGHTS)[_TENSOR]
    except (OSError, ValueError, TypeError, KeyError, ValidationError, SafetensorError) as error:
        raise BadInputError(
            f"{directory} holds no gist as a CARTRIDGE adapter ({first_line(error)}); give a "
            "directory written by dnsity export --peft"
        ) from error
    if info.slots is not None or info.n_positions is not None:
        raise DamagedFileError(
            f"{directory / INFO_FILE} counts slots head by head, which an adapter cannot have; "
            "export the gist again"
        )
    layers, heads = config.num_layers, config.num_attention_heads
    shape = (info.n_head + info.n_gist, layers * 2 * config.token_dim)
    if tuple(flat.shape) != shape or not bool(torch.isfinite(flat).all()):
        raise DamagedFileError(
            f"{directory / _WEIGHTS} has a tensor of shape {list(flat.shape)} where finite numbers "
            f"of shape {list(shape)} belong; export the gist again"
        )
    own = flat[info.n_head :]
    parts = own.reshape(info.n_gist, layers, 2, heads, -1).permute(1, 2, 3, 0, 4)
    slots: KeyValues = tuple((k[None].contiguous(), v[None].contiguous()) for k, v in parts)
    return GistCache(slots, info)
