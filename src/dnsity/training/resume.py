"""The checkpoint that a run resumes from: the newest complete one."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

_log = logging.getLogger(__name__)


def newest_complete(output_dir: Path) -> Path | None:
    """Return the directory of the newest complete checkpoint, or None.

    Trainer writes its state file last, so a checkpoint without a readable one is incomplete. The
    other files are opened to check them. Incomplete checkpoints are named in a warning and not
    deleted.
    """
    numbered = {
        int(path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-")): path
        for path in output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
        if path.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-").isdecimal()
    }
    for _, path in sorted(numbered.items(), reverse=True):
        fault = _fault(path)
        if fault is None:
            return path
        _log.warning("%s is incomplete (%s); looking for an older checkpoint", path, fault)
    return None


def steps_done(checkpoint: Path) -> int:
    """Return how many optimiser steps were done before a checkpoint."""
    return int(json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))["global_step"])


def _fault(checkpoint: Path) -> str | None:
    """Describe what is wrong with a checkpoint; None if nothing is."""
    try:
        steps_done(checkpoint)
        for path in sorted(checkpoint.iterdir()):
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as tensors:
                    tensors.keys()
            elif path.suffix in (".pt", ".pth"):
                with zipfile.ZipFile(path) as archive:
                    if archive.testzip() is not None:
                        return f"{path.name} is damaged"
    except (OSError, ValueError, KeyError, SafetensorError, zipfile.BadZipFile) as error:
        return f"{type(error).__name__}: {error}"
    return None
