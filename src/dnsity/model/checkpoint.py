"""Loading and saving gist models.

DIR/gist_config.json     GistSpec, base model id, format version
DIR/gist.safetensors     gist rows [G, hidden]
DIR/adapter/             the LoRA adapter (PEFT), for every scope but `full`
DIR/base/                base model and tokenizer, for scope `full`
DIR/README.md            the model card
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from dnsity.config import Config
from dnsity.errors import BadInputError, first_line
from dnsity.gist.spec import GistSpec
from dnsity.io.atomic import write_json
from dnsity.model import names
from dnsity.model.base import (
    DeviceMap,
    Quantization,
    load_base,
    load_tokenizer,
    quantization_of,
)
from dnsity.model.ends import declared_ends
from dnsity.model.gist_lm import GistLM
from dnsity.model.lora import GIST_SETTINGS, foreign_settings

CONFIG_FILE = "gist_config.json"
ROWS_FILE = "gist.safetensors"


class CheckpointConfig(Config):
    """Contents of `gist_config.json`.

    Attributes:
        format_version: Version of the directory layout.
        spec: Compression settings of the model.
        base_model: Directory or hub id of the base, `mini` for the bundled one, or `base` for the
            directory next to this file.
        quantization: Quantisation of the base while loading; None loads it as stored.
    """

    format_version: Literal[1] = 1
    spec: GistSpec
    base_model: str = "base"
    quantization: Quantization | None = None

    @field_validator("spec")
    @classmethod
    def _is_settled(cls, spec: GistSpec) -> GistSpec:
        """Use the plain format for models of earlier versions, which name none."""
        return spec.settled(False)


def find(name: str, *, revision: str | None = None) -> Path:
    """Return the local directory of a gist model given as `mini`, a directory or a hub id.

    Args:
        name: Name of the model.
        revision: Branch, tag or commit of a hub repository.

    Raises:
        BadInputError: If there is no such model.
    """
    own = names.bundled(name)
    if own is not None:
        return own
    path = Path(os.path.expanduser(names.base_path(name)))
    if os.path.isdir(path):
        if not (path / CONFIG_FILE).exists():
            raise BadInputError(
                f"{name} holds no {CONFIG_FILE}, so it is not a dnsity model; give a directory "
                "written by `dnsity train`, or 'mini' for the bundled model"
            )
        return path
    if path.suffix.lower() == ".gguf":
        raise BadInputError(
            f"{names.source(name).path} is a base model without trained gists; give a directory "
            "written by `dnsity train`, or 'mini' for the bundled model"
        )
    if path.is_absolute() or name.count("/") != 1 or name.startswith("."):
        raise BadInputError(
            f"no model {name!r}: not a directory, and not of the form owner/name of a hub; "
            "'mini' is the bundled model"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.md"]
            )
        )
    except Exception as error:  # errors of many types, which all mean "not available"
        raise BadInputError(
            f"model {name!r} is not on disk and could not be downloaded ({type(error).__name__}); "
            "check the name and the network, or use 'mini', the bundled model"
        ) from error


def is_plain_base(name: str) -> bool:
    """Return whether a name is of a base model without trained gists.

    Raises:
        BadInputError: If there is no such model.
    """
    if names.bundled(name) is not None:
        return False
    path = Path(os.path.expanduser(names.base_path(name)))
    if os.path.isdir(path):
        if (path / CONFIG_FILE).exists():
            return False
        return (path / "config.json").exists() or names.source(name).gguf is not None
    if path.suffix.lower() == ".gguf":
        return names.source(name).gguf is not None
    return not (find(name) / CONFIG_FILE).exists()


def load(
    name: str,
    *,
    device: str | torch.device | None = "cpu",
    dtype: torch.dtype | str = torch.float32,
    device_map: DeviceMap | None = None,
    revision: str | None = None,
) -> tuple[GistLM, PreTrainedTokenizerBase, str]:
    """Load a gist model.

    Args:
        name: `mini`, a directory, or a hub id.
        device: Device of the model; not used with `device_map`.
        dtype: Compute type of the base; see `load_base`.
        device_map: Placement of the base's layers, as in transformers.
        revision: Branch, tag or commit of a hub repository; does not apply to its base.

    Returns:
        The model in evaluation mode, its tokenizer and the name of its base.

    Raises:
        BadInputError: If it is missing or incomplete.
        UnsupportedModelError: If its base does not support gists.
    """
    directory = find(name, revision=revision)
    config = read_config(directory)
    base_name = base_under(directory, config)
    base, tokenizer = load_base(
        base_name, dtype=dtype, quantization=config.quantization, device_map=device_map
    )
    adapter = directory / "adapter"
    lora = None if config.spec.scope == "full" else _lora_config(adapter)
    with torch.random.fork_rng():  # PEFT samples initial adapter weights
        model = GistLM(base, config.spec, lora=lora)
    if lora is not None:
        _load_adapter(model, adapter)
    rows = _tensors(directory / ROWS_FILE).get("gist_rows")
    if rows is None or rows.shape != model.gist_rows.shape:
        raise BadInputError(
            f"{directory / ROWS_FILE} has gist rows {None if rows is None else list(rows.shape)}, "
            f"the configuration needs {list(model.gist_rows.shape)}; the checkpoint is "
            "incomplete or mixed up"
        )
    with torch.no_grad():
        model.gist_rows.copy_(rows)
    if device_map is None:
        model.to(device)
    return model.eval(), tokenizer, base_name


def base_under(directory: Path, config: CheckpointConfig) -> str:
    """Return the path or name of a gist model's base."""
    if config.base_model == "base":
        return str(directory / "base")
    bundled = config.base_model == names.BUNDLED
    return names.base_path(names.BUNDLED) if bundled else config.base_model


def base_named(name: str) -> str:
    """Return the base of a gist model; for a base model or an unknown name, the name itself."""
    try:
        directory = find(name)
        return base_under(directory, read_config(directory))
    except BadInputError:
        return name


def tokenizer_of(name: str) -> PreTrainedTokenizerBase:
    """Load only the tokenizer of a gist model or base model.

    Raises:
        BadInputError: If it is missing.
    """
    directory = names.bundled(name)
    if directory is None:
        if not (Path(name) / CONFIG_FILE).exists():
            return load_tokenizer(name)
        directory = find(name)
    return load_tokenizer(base_under(directory, read_config(directory)))


def _tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file of the checkpoint."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadInputError(
            f"{path} is missing or damaged ({first_line(error)}); the checkpoint is incomplete, "
            "copy or train it again"
        ) from error


def _lora_config(adapter: Path) -> Any:
    from peft import LoraConfig

    path = adapter / "adapter_config.json"
    try:
        # Without the file, PEFT would search for one on a hub.
        stored = json.loads(path.read_text(encoding="utf-8"))
        foreign = foreign_settings(stored, GIST_SETTINGS)
        if foreign:
            raise BadInputError(
                f"{path} has settings {', '.join(foreign)}, a gist model has a plain LoRA adapter "
                f"({', '.join(GIST_SETTINGS)} only); train it again, and do not trust a file from "
                "others"
            )
        return LoraConfig.from_pretrained(str(adapter))
    except BadInputError:
        raise
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path} is missing or damaged ({first_line(error)}); the checkpoint is incomplete, "
            "copy or train it again"
        ) from error


def _load_adapter(model: GistLM, adapter: Path) -> None:
    """Load the LoRA weights; missing or additional tensors are an error."""
    from peft import set_peft_model_state_dict

    path = adapter / "adapter_model.safetensors"
    tensors = _tensors(path)
    try:
        result: Any = set_peft_model_state_dict(model.peft_model, tensors)
    except (RuntimeError, KeyError) as error:
        raise BadInputError(f"{path} does not fit its base model: {first_line(error)}") from error
    missing = [key for key in result.missing_keys if "lora_" in key]
    if missing or result.unexpected_keys:
        raise BadInputError(
            f"{path} does not fit its base model: {len(missing)} tensors are missing and "
            f"{len(result.unexpected_keys)} unknown; the checkpoint is incomplete or mixed up"
        )


def read_config(directory: Path) -> CheckpointConfig:
    """Read `gist_config.json`.

    Raises:
        BadInputError: If the file is missing, damaged or of another version.
    """
    try:
        text = (directory / CONFIG_FILE).read_text(encoding="utf-8")
        return CheckpointConfig.model_validate_json(text)
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        why = first_line(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            why = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise BadInputError(
            f"{directory / CONFIG_FILE} is not a gist model configuration of this version "
            f"({why}); upgrade dnsity or retrain"
        ) from error


def save(
    model: GistLM,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    *,
    base_name: str,
    card: str,
    dtype: torch.dtype | None = None,
) -> None:
    """Save a gist model, to be loaded with `load`.

    Args:
        model: The model.
        tokenizer: Its tokenizer; saved for scope `full`, together with the base.
        directory: Target directory, which is created.
        base_name: Directory or hub id of the base; not used for scope `full`.
        card: The model card.
        dtype: Type in which a base of scope `full` is saved (None: unchanged).
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Removed first and written last, so that an incomplete directory is not loaded as a model.
    (directory / CONFIG_FILE).unlink(missing_ok=True)
    own_base = model.spec.scope == "full"
    if own_base:
        base: Any = model.base
        if dtype is not None:
            base = copy.deepcopy(base).to(dtype)
        base.save_pretrained(directory / "base")
        # Loading drops other generation settings; other tools need the ids that end an answer.
        stored = GenerationConfig.from_model_config(base.config)
        ends = declared_ends(base)
        stored.eos_token_id = ends[0] if ends and len(ends) == 1 else ends
        stored.save_pretrained(directory / "base")
        tokenizer.save_pretrained(directory / "base")
    else:
        assert model.peft_model is not None
        model.peft_model.save_pretrained(str(directory / "adapter"))
    save_file({"gist_rows": model.gist_rows.detach().contiguous()}, directory / ROWS_FILE)
    (directory / "README.md").write_text(card, encoding="utf-8")
    config = CheckpointConfig(
        spec=model.spec.settled(bool(tokenizer.chat_template)),
        base_model="base" if own_base else base_name,
        # The config of a base states any other quantisation.
        quantization="nf4" if quantization_of(model.base.config) == "nf4" else None,
    )
    write_json(directory / CONFIG_FILE, config.model_dump(mode="json"))


def read_card(name: str) -> str:
    """Return the model card of a saved model; empty if there is none."""
    try:
        path = find(name) / "README.md"
    except BadInputError:
        return ""
    return path.read_text(encoding="utf-8") if path.exists() else ""
