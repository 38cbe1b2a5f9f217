"""Where a result comes from: commit, date, package versions, hardware and random seed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_PACKAGES = ("dnsity", "torch", "transformers", "peft", "tokenizers", "safetensors")


def manifest(config: BaseModel, seed: int) -> dict[str, Any]:
    """Describe a run by code, date, versions, hardware, random seed and configuration."""
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain")),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in _PACKAGES},
        "hardware": {"machine": platform.machine(), "cpu": _cpu(), "cores": os.cpu_count()},
        "seed": seed,
        "config": config.model_dump(mode="json"),
    }


def git(*arguments: str) -> str:
    """Run git in the working directory; return its output, or "" outside a repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
