"""`dnsity doctor`: what this machine has and what would fit on it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from dnsity.cli.console import say, show_json
from dnsity.cli.options import Json
from dnsity.evaluation.units import data_size

PACKAGES = ("dnsity", "torch", "transformers", "peft", "tokenizers", "safetensors", "bitsandbytes")
SHAPES = {  # layers, kv heads, head dim, parameters in billions
    "Qwen3-0.6B": (28, 8, 128, 0.6),
    "Qwen3-4B": (36, 8, 128, 4.0),
    "Llama-3.1-8B": (32, 8, 128, 8.0),
}
CONTEXT_TOKENS, GISTS, BYTES = 8192, 25, 2


def command(json: Json = False) -> None:
    """Show versions, devices and what would fit.

    Example: dnsity doctor
    """
    report = examine()
    if json:
        show_json(report)
        return
    say(f"python {report['python']}, {report['cores']} cores")
    for name, version in report["packages"].items():
        say(f"  {name:14} {version}")
    for device in report["devices"]:
        say(f"{device['name']}: {data_size(device['memory_bytes'])}")
    say(f"bundled model: {report['bundled_model']}")
    say(f"\nKeys and values in bf16, {CONTEXT_TOKENS:,} tokens against {GISTS} gists:")
    for fit in report["fits"]:
        sizes = [data_size(fit[f"{what}_bytes"]) for what in ("document_kv", "gist_kv", "weight")]
        verdict = "fits" if fit["fits"] else "too large for"
        say(
            f"  {fit['model']:14} {sizes[0]:>8} -> {sizes[1]:>8}   weights {sizes[2]:>8}   "
            f"{verdict} {fit['device']}"
        )


def examine() -> dict[str, Any]:
    """Collect what `doctor` shows."""
    devices = _devices()
    largest = max(devices, key=lambda device: device["memory_bytes"])
    fits = []
    for name, (layers, heads, dim, billions) in SHAPES.items():
        token = 2 * layers * heads * dim * BYTES
        weights = int(billions * 1e9 * BYTES)
        fits.append(
            {
                "model": name,
                "document_kv_bytes": token * CONTEXT_TOKENS,
                "gist_kv_bytes": token * GISTS,
                "weight_bytes": weights,
                "device": largest["name"],
                "fits": weights + token * CONTEXT_TOKENS < 0.9 * largest["memory_bytes"],
            }
        )
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": devices,
        "bundled_model": _bundled(),
        "fits": fits,
    }


def _devices() -> list[dict[str, Any]]:
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    devices: list[dict[str, Any]] = [{"name": "cpu", "memory_bytes": memory}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append({"name": f"cuda:{index}", "memory_bytes": properties.total_memory})
    return devices


def _bundled() -> str:
    from dnsity.errors import BadInputError
    from dnsity.model.checkpoint import BUNDLED, find

    try:
        find(BUNDLED)
    except BadInputError as error:
        return str(error)
    return "present"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
