"""The manifest of an evaluation; a resumed run must match it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dnsity.errors import BadInputError
from dnsity.evaluation.settings import EvalConfig, short_names
from dnsity.inference.hardware import device_name
from dnsity.inference.loaded import LoadedModel
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest

MANIFEST = "manifest.json"


def begin(config: EvalConfig, directory: Path, device: str, jobs: int) -> dict[str, Any]:
    """Write the manifest of a new run, or check that of a run to resume.

    Returns:
        The manifest. It lists every commit that resumed the run.

    Raises:
        BadInputError: If the directory has a run of another configuration, or is not writable.
    """
    path = directory / MANIFEST
    described = manifest(config, config.seed) | {"models": {}}
    described["config"] |= _named(config)
    if jobs > 1:  # each process is timed on its share of the cores
        described["hardware"]["processes"] = jobs
    if device.startswith("cuda"):
        described["hardware"]["device"] = device_name(device)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists():
            described = _resumed(described, path)
        write_json(path, described)
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {error.strerror}") from error
    return described


def _named(config: EvalConfig) -> dict[str, list[str]]:
    """Return the models under their names in records; the manifest has no paths."""
    names = short_names([*config.models, *config.bases])
    count = len(config.models)
    return {"models": names[:count], "bases": names[count:]}


def identify(described: dict[str, Any], loaded: LoadedModel, directory: Path) -> None:
    """Add the fingerprints of a model to the manifest.

    Raises:
        BadInputError: If the run began with other weights under the same name.
    """
    known = described["models"].setdefault(loaded.name, loaded.fingerprints)
    if loaded.differences(known):
        raise BadInputError(
            f"model {loaded.name} has changed since this run began; choose another --output-dir"
        )
    write_json(directory / MANIFEST, described)


def _resumed(now: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read the manifest of a run to resume, and add the current commit to it."""
    try:
        before: dict[str, Any] = json.loads(path.read_text("utf-8"))
        config, models = dict(before["config"]), dict(before["models"])
        states = [(before["commit"], before["dirty"])]
        states += [(one["commit"], one["dirty"]) for one in before.get("resumed", [])]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path} is no manifest of an evaluation; choose another --output-dir"
        ) from error
    different = [key for key in now["config"] | config if now["config"].get(key) != config.get(key)]
    if different:
        raise BadInputError(
            f"{path.parent} holds a run of another configuration ({', '.join(different)} differ); "
            "choose another --output-dir, or remove it"
        )
    if (now["commit"], now["dirty"]) not in states:
        again = {key: now[key] for key in ("commit", "dirty")}
        before["resumed"] = [*before.get("resumed", []), again]
    return before | {"models": models}
