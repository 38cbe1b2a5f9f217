"""Corpora: documents from files, folders or the hub, and random passages of them.

    corpus.jsonl[.gz|.xz|.zst]   one {id?, title?, text} a line
    notes.txt, guide.md          one document
    folder/                      all such files in it, ordered by name
    hf:NAME[:CONFIG]:SPLIT       a Hugging Face dataset with a `text` column, streamed

A hash of its text assigns a document to training or testing, so the same document is always on the
same side, in all files and on all machines.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dnsity.data.example import Language
from dnsity.data.text.sentences import places, sentence_ends
from dnsity.errors import BadInputError
from dnsity.io.jsonl import read_records
from dnsity.io.text import read_blocks, read_text

Side = Literal["train", "test"]
HUB = "hf:"
JSONL_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst")
TEXT_SUFFIXES = (".txt", ".md")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus.

    Attributes:
        id: Unique in its corpus.
        text: The whole text.
        title: Its title, if the source has one.
    """

    id: str
    text: str
    title: str = ""


def read_documents(source: str | Path) -> Iterator[Document]:
    """Yield the documents of a corpus; only one is in memory at a time.

    Args:
        source: A file, a folder or `hf:NAME[:CONFIG]:SPLIT`, see the table above.

    Raises:
        BadInputError: If it is missing or unreadable, a record has no `text`, or a file is neither
            JSONL nor text.
    """
    if str(source).startswith(HUB):
        yield from _hub_documents(str(source).removeprefix(HUB))
        return
    path = Path(source)
    if path.is_dir():
        for each in files_in(path):
            yield from _file_documents(each, str(each.relative_to(path)))
        return
    if path.exists() and not _is_readable(path):
        raise BadInputError(
            f"{path} is no corpus; allowed are {', '.join(TEXT_SUFFIXES + JSONL_SUFFIXES)}, "
            f"a folder of these, or {HUB}NAME:SPLIT"
        )
    yield from _file_documents(path, path.name)


def stream_documents(path: Path) -> Iterator[tuple[str, str | Iterator[str]]]:
    """Read one text or Markdown file, the documents of a JSONL file, or a folder of these.

    Args:
        path: `.jsonl` (also compressed, see `read_records`) with `{id?, title?, text}` a line;
            any other file is UTF-8 text, whose line ends are kept.

    Yields:
        The id of a document (otherwise its title, otherwise file name and number; for a text file
        its path in the folder) and its text: whole from JSONL, otherwise in blocks.

    Raises:
        BadInputError: If the file cannot be read, is not UTF-8, or a document has no text.
    """
    if path.is_dir():
        for file in files_in(path):
            for found, content in stream_documents(file):
                yield str(file.relative_to(path)) if found == file.name else found, content
        return
    if ".jsonl" not in map(str.lower, path.suffixes[-2:]):
        yield path.name, read_blocks(path)
        return
    number = 0
    for number, record in enumerate(read_records(path), start=1):
        text = record.get("text")
        if not isinstance(text, str) or not text.strip():
            found = f"found the fields {sorted(record)}"
            raise BadInputError(f"{path} record {number}: no text in 'text'; {found}")
        name = next((record[key] for key in ("id", "title") if record.get(key) is not None), None)
        yield f"{path.name}:{number}" if name is None else str(name), text
    if not number:
        raise BadInputError(f"{path} is empty; give a file with one JSON object a line")


def files_in(folder: Path) -> list[Path]:
    """List the text and JSONL files below a folder, ordered by name.

    Raises:
        BadInputError: If there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.is_file() and _is_readable(p))
    if not found:
        raise BadInputError(
            f"no document in {folder}; looked for {', '.join(TEXT_SUFFIXES + JSONL_SUFFIXES)}"
        )
    return found


def side_of(text: str, test_share: float = 0.02) -> Side:
    """Return whether a document is for training or for testing.

    Args:
        text: The document; white space at its ends is ignored.
        test_share: Share of documents for testing.
    """
    digest = hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).digest()
    return "test" if int.from_bytes(digest[:8], "big") < test_share * 2**64 else "train"


def _is_readable(path: Path) -> bool:
    return path.name.lower().endswith(TEXT_SUFFIXES + JSONL_SUFFIXES)


def _file_documents(path: Path, name: str) -> Iterator[Document]:
    if not path.name.lower().endswith(TEXT_SUFFIXES):
        for number, record in enumerate(read_records(path), start=1):
            yield _document(record, f"{name}:{number}", f"{path} record {number}")
        return
    yield Document(name, read_text(path))


def _document(record: dict[str, Any], default_id: str, where: str) -> Document:
    text = record.get("text")
    if not isinstance(text, str):
        raise BadInputError(f"{where}: no 'text' that is text, found fields {sorted(record)}")
    return Document(str(record.get("id", default_id)), text, str(record.get("title") or ""))


def _hub_documents(name: str) -> Iterator[Document]:
    """Stream a dataset; only what is used is downloaded."""
    parts = name.split(":")
    if not 2 <= len(parts) <= 3:
        raise BadInputError(f"{HUB}{name}: write {HUB}NAME:SPLIT or {HUB}NAME:CONFIG:SPLIT")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise BadInputError(f"{HUB}{name} needs the datasets package: pip install datasets") from (
            error
        )
    try:
        rows = load_dataset(parts[0], *parts[1:-1], split=parts[-1], streaming=True)
        for number, row in enumerate(rows, start=1):
            yield _document(dict(row), f"{parts[0]}:{number}", f"{HUB}{name} row {number}")
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"cannot read dataset {HUB}{name}: {error}; check the name, or use a local file"
        ) from error


class Corpus:
    """Documents of one language in memory, as a source of random passages.

    Args:
        sources: Sources of `read_documents`, in order.
        language: Their language.
        characters: Limit on the characters in memory.
        leave_out: Returns whether a text is skipped, such as `HeldOut.shares`.
    """

    def __init__(
        self,
        sources: Sequence[str | Path],
        language: Language,
        characters: int,
        leave_out: Callable[[str], bool] | None = None,
    ) -> None:
        """Read the documents."""
        self.language = language
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.titles: list[str] = []
        for document in (each for source in sources for each in read_documents(source)):
            if characters <= 0:
                break
            if leave_out is not None and leave_out(document.text):
                continue
            self.texts.append(document.text)
            self.ids.append(document.id)
            self.titles.append(document.title)
            characters -= len(document.text)
        if not any(text.strip() for text in self.texts):
            why = "" if leave_out is None else ", or all of it is held out"
            raise BadInputError(f"no text in {', '.join(map(str, sources))}{why}")

    def document(self, rng: random.Random) -> Document:
        """Sample a whole document."""
        index = rng.randrange(len(self.texts))
        return Document(self.ids[index], self.texts[index], self.titles[index])

    def passage(self, rng: random.Random, characters: int) -> tuple[str, str]:
        """Sample a passage of about so many characters, from sentence start to sentence end.

        It is a random window of a long article; short articles are joined with those that follow,
        so that any length is possible and no article repeats before all are used.

        Returns:
            The text and the ids of its articles, joined by `+`.
        """
        index = rng.randrange(len(self.texts))
        source, text = self.ids[index], self.texts[index]
        while len(text) < characters:
            index = (index + 1) % len(self.texts)
            source += "+" + self.ids[index]
            text += "\n\n" + self.texts[index]
        start = rng.randrange(len(text) - characters + 1)
        begin = _begin(text, start, start + characters // 4 + 1)
        passage = text[begin : begin + characters]
        # End at the last sentence border, unless that would drop more than a quarter.
        end = sentence_ends(passage)[-2]
        return passage[: end if end > characters * 3 // 4 else None].strip(), source


def _begin(text: str, start: int, stop: int) -> int:
    """Return the first sentence start after `start`, or the next word if none is near.

    The search begins at the start of the line, to detect a quotation that opens there.
    """
    if start == 0:
        return 0
    line = text.rfind("\n", 0, start) + 1
    for place in places(text[line:stop])[:-1]:
        if line + place >= start:
            return line + place
    return text.find(" ", start, stop) + 1 or start
