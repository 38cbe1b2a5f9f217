"""Which checkpoint a run can go on from: the newest that is whole."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

_log = logging.getLogger(__name__)


def newest_whole(output_dir: Path) -> Path | None:
    """Find the newest checkpoint that a kill has not torn.

    Trainer writes its state file last, so a checkpoint without a readable one was never finished;
    the others are opened to see that every file is whole. Torn ones are named in a warning and left
    alone.

    Returns:
        Its directory, or None.
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
        _log.warning("%s is not whole (%s); looking for an older checkpoint", path, fault)
    return None


def steps_done(checkpoint: Path) -> int:
    """Read how many optimiser steps a checkpoint has behind it."""
    return int(json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))["global_step"])


def _fault(checkpoint: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None."""
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
