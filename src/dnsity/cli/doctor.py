"""`dnsity doctor`: describe this machine, or a model."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from dnsity.cli import numerics
from dnsity.cli.console import say, show_json
from dnsity.cli.options import Json
from dnsity.io.units import data_size, millions

PACKAGES = (
    "dnsity",
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "bitsandbytes",
    "gguf",
)
SHAPES = {  # layers, kv heads, head dim, parameters in billions
    "Qwen3-0.6B": (28, 8, 128, 0.6),
    "Qwen3-4B": (36, 8, 128, 4.0),
    "Llama-3.1-8B": (32, 8, 128, 8.0),
}
CONTEXT_TOKENS, GISTS, BYTES = 8192, 25, 2


def command(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Describe this model instead of the machine."),
    ] = None,
    json: Json = False,
) -> None:
    """Describe this machine, or a model.

    For the machine: versions, devices, compute type, a test of the numeric routines that dnsity
    uses, and which models fit. For a model: whether dnsity supports it, its size, compute type and
    window, and whether it has a chat template.

    Example: dnsity doctor --model smollm2
    """
    if model is not None:
        described = examine_model(model)
        if json:
            show_json(described)
        else:
            _show_model(described)
        return
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
    compute = report["compute"]
    if "float32_seconds" in compute:
        say(
            f"one matrix product on the CPU: float32 {compute['float32_seconds'] * 1000:.1f} ms, "
            f"bfloat16 {compute['bfloat16_seconds'] * 1000:.1f} ms"
        )
    for routine in report["numerics"]:
        duration = "" if routine["seconds"] is None else f", {routine['seconds'] * 1000:,.0f} ms"
        say(f"  {routine['name']:14} {routine['problem'] or 'right'}{duration}")
    say(f"models compute in {compute['dtype']} on {compute['device']} (mini in float32)")
    say(f"\nKV cache in bf16, {CONTEXT_TOKENS:,} tokens -> {GISTS} gists:")
    for fit in report["fits"]:
        sizes = [data_size(fit[f"{what}_bytes"]) for what in ("document_kv", "gist_kv", "weight")]
        verdict = "fits" if fit["fits"] else "too large for"
        say(
            f"  {fit['model']:14} {sizes[0]:>8} -> {sizes[1]:>8}   weights {sizes[2]:>8}   "
            f"{verdict} {fit['device']}"
        )


def examine() -> dict[str, Any]:
    """Describe the machine: versions, devices, numeric routines, and which models fit."""
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
    compute = _compute()
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": devices,
        "bundled_model": _bundled(),
        "compute": compute,
        "numerics": numerics.examine(compute["device"], compute["dtype"]),
        "fits": fits,
    }


def examine_model(name: str) -> dict[str, Any]:
    """Describe a base or gist model from its config and tokenizer, without loading weights.

    Raises:
        BadInputError: If the model does not exist.
    """
    from dnsity.cli.options import quiet_loading
    from dnsity.errors import UnsupportedModelError
    from dnsity.inference.hardware import compute_type
    from dnsity.model.architectures import judge
    from dnsity.model.base import any_config, load_tokenizer
    from dnsity.model.checkpoint import base_under, find, is_plain_base, read_config

    quiet_loading()
    plain = is_plain_base(name)
    base = name if plain else base_under(find(name), read_config(find(name)))
    found: dict[str, Any] = {
        "model": name,
        "kind": "base model" if plain else "gist model",
        "base": base,
    }
    try:
        config = any_config(base)
    except UnsupportedModelError as error:
        return {**found, "verdict": "refused", "reason": str(error)}
    verdict = judge(config)
    dtype = compute_type(_device(), name)
    parameters = _parameters(config)
    return {
        **found,
        "verdict": verdict.level,
        "reason": verdict.reason,
        "parameters": parameters,
        "weight_bytes": None if parameters is None else parameters * dtype.itemsize,
        "file_bytes": _file_bytes(base),
        "dtype": str(dtype).removeprefix("torch."),
        "chat_template": bool(load_tokenizer(base).chat_template),
        "window": getattr(config.get_text_config(), "max_position_embeddings", None),
    }


def _show_model(described: dict[str, Any]) -> None:
    say(f"{described['model']}: {described['kind']}, {described['verdict']}")
    say(f"  {described['reason']}")
    if "dtype" not in described:
        return
    if described["parameters"] is not None:
        say(
            f"  {millions(described['parameters'], 0)} million parameters, weights "
            f"{data_size(described['weight_bytes'])} in {described['dtype']}"
        )
    if described["file_bytes"]:
        say(f"  {data_size(described['file_bytes'])} on disk")
    say(f"  {'has a' if described['chat_template'] else 'no'} chat template")
    if described["window"]:
        say(f"  window {described['window']:,} tokens")


def _parameters(config: Any) -> int | None:
    """Count a model's parameters without allocating them; None if it cannot be built."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception:  # transformers has no such causal LM; the verdict says so
        return None
    return sum(int(parameter.numel()) for parameter in model.parameters())


def _file_bytes(base: str) -> int | None:
    """Return the size of a base's weights on disk; None for a hub id."""
    from dnsity.model.names import source

    path = source(base).path
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) or None


def _device() -> str:
    """Return the default device: a GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _compute() -> dict[str, Any]:
    """Return the compute type on this machine, and the measurements that it follows from."""
    from dnsity.inference import hardware

    device = _device()
    measured = {}
    if device == "cpu":
        speeds = hardware.cpu_speeds()
        measured = {"float32_seconds": speeds.float32, "bfloat16_seconds": speeds.bfloat16}
    dtype = str(hardware.compute_type(device)).removeprefix("torch.")
    return {"device": device, "dtype": dtype, **measured}


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
    from dnsity.model.checkpoint import find
    from dnsity.model.names import BUNDLED

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
