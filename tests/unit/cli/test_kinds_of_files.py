"""Every file is compressed or named with the reason; no other document's gist is replaced."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsity.data.readers.corpus import read_documents, stream_documents
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.origin import is_made_from
from running import Run
from tiny import DOCUMENT

OTHER = DOCUMENT.replace("60479", "11111")
PDF = b"%PDF-1.4\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", DOCUMENT)


def _text(path: Path) -> None:
    path.write_text(DOCUMENT, encoding="utf-8")


def _link_to_a_text(path: Path) -> None:
    (path.parents[1] / "elsewhere").write_text(OTHER, encoding="utf-8")
    path.symlink_to(path.parents[1] / "elsewhere")


def _linked_folder(path: Path) -> None:
    elsewhere = path.parents[1] / "elsewhere"
    elsewhere.mkdir()
    _text(elsewhere / "a.txt")
    path.symlink_to(elsewhere)


def _folder(path: Path) -> None:
    path.mkdir()
    _text(path / "a.txt")


Make = Callable[[Path], Any]
COMPRESSED: dict[str, Make] = {
    "NOTES.TXT": _text,
    "Guide.Md": _text,
    ".hidden.txt": _text,
    "notes.md": _text,
    "notes.txt": _text,
    "two.dots.txt": _text,
    "이름 with space.txt": _text,
    "linked.txt": _link_to_a_text,
}
SKIPPED: dict[str, tuple[Make, str]] = {
    "empty.txt": (lambda p: p.write_bytes(b""), "empty"),
    "blank.md": (lambda p: p.write_text(" \n\t"), "empty"),
    "latin.txt": (lambda p: p.write_bytes(b"M\xfcller " * 30), "UTF-8"),
    "binary.txt": (lambda p: p.write_bytes(b"a\0b"), "binary"),
    "report.txt": (lambda p: p.write_bytes(PDF), "a PDF"),
    "report.PDF": (lambda p: p.write_bytes(PDF), "pdftotext"),
    "letter.docx": (_archive, "plain text"),
    "all.zip": (_archive, "unpack"),
    "table.csv": (_text, "'.csv'"),
    "README": (_text, "no suffix"),
    "nowhere.txt": (lambda p: p.symlink_to(p.parent / "missing"), "link to nothing"),
    "circle.txt": (lambda p: p.symlink_to(p), "link to nothing or to itself"),
    "pipe.txt": (os.mkfifo, "a pipe"),
    "linked": (_linked_folder, "a linked folder is not entered"),
    "round": (lambda p: p.symlink_to(p.parent), "a linked folder is not entered"),
}
IGNORED: dict[str, tuple[Make, str]] = {
    "picture.JPG": (lambda p: p.write_bytes(b"\xff\xd8"), "a picture"),
    "sound.mp3": (lambda p: p.write_bytes(b"ID3"), "a sound"),
    ".git": (_folder, "hidden folder"),
    ".DS_Store": (lambda p: p.write_bytes(b"\0"), "hidden file"),
    "._a.txt": (lambda p: p.write_bytes(b"\0\5\26\7"), "operating system"),
    "Thumbs.db": (lambda p: p.write_bytes(b"\0"), "operating system"),
    "a.txt.gist.safetensors": (lambda p: p.write_bytes(b"x"), "a gist file"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one text, for more to be put in."""
    path = tmp_path / "in"
    path.mkdir()
    _text(path / "a.txt")
    return path


@pytest.mark.parametrize("name", COMPRESSED)
def test_texts_of_any_spelling_are_compressed(
    run: Run, folder: Path, model_directory: str, name: str
) -> None:
    COMPRESSED[name](folder / name)
    store = folder.parent / "store"
    done = run("compress", folder, "-o", store, "-m", model_directory, "--json").json
    assert (done["compressed"], done["skipped"], done["ignored"]) == (2, [], [])
    gist = GistCache.load(store / f"{name}.gist.safetensors")
    assert is_made_from(gist.info, (folder / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*SKIPPED, *IGNORED])
def test_what_is_not_compressed_is_named_with_its_reason(
    run: Run, folder: Path, model_directory: str, name: str
) -> None:
    make, why = (SKIPPED | IGNORED)[name]
    make(folder / name)
    store = folder.parent / "store"
    command = ("compress", folder, "-o", store, "-m", model_directory)
    done = run(*command)
    list_, key, code = ("skipped", "error", 2) if name in SKIPPED else ("ignored", "reason", 0)
    assert (done.code, f"1 {list_}" in done.out) == (code, True)
    told = next(line for line in done.err.splitlines() if line.startswith(f"{list_}: "))
    assert str(folder / name) in told
    assert why in told
    listed = json.loads(run(*command, "--json").out)
    assert [one["path"] for one in listed[list_]] == [str(folder / name)]
    assert why in listed[list_][0][key]
    assert (listed["compressed"], listed["kept"]) == (0, 1)
    assert [path.name for path in store.iterdir()] == ["a.txt.gist.safetensors"]


def test_a_folder_that_cannot_be_listed_is_named(
    run: Run, folder: Path, model_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder(folder / "locked")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = run("compress", folder, "-o", folder.parent / "store", "-m", model_directory)
    assert done.code == 2
    assert f"skipped: {folder / 'locked'}: cannot be listed: Permission denied" in done.err


def test_a_folder_of_other_documents_only_names_them_at_once(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "report.pdf").write_bytes(PDF)
    done = run("compress", folder, "-o", tmp_path / "store", "-m", "no-such-model", "--json")
    assert done.code == 2
    assert json.loads(done.out)["skipped"][0]["path"] == str(folder / "report.pdf")
    assert "no .txt or .md file" in done.err
    assert "pdftotext" in done.err


def test_a_store_inside_the_folder_is_no_document(
    run: Run, folder: Path, model_directory: str
) -> None:
    command = ("compress", folder, "-o", folder / "store", "-m", model_directory, "--json")
    run(*command)
    again = run(*command).json
    assert (again["kept"], again["ignored"], again["skipped"]) == (1, [], [])


def test_many_pictures_do_not_bury_what_is_said(
    run: Run, folder: Path, model_directory: str
) -> None:
    for number in range(30):
        (folder / f"{number}.png").write_bytes(b"\x89PNG")
    command = ("compress", folder, "-o", folder.parent / "store", "-m", model_directory)
    done = run(*command)
    assert len(done.err.splitlines()) < 25
    assert "10 more" in done.err
    assert len(run(*command, "--json").json["ignored"]) == 30


# One file


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pdf", PDF, "is a PDF"),
        ("a.txt", PDF, "is a PDF"),
        ("a.docx", None, "office document"),
        ("a.zip", None, "unpack it"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office document"),
        ("a.rtf", b"{\\rtf1\\ansi The harbour opens at nine.}", "is RTF"),
        ("a.txt.gz", b"\x1f\x8b\x08\0", "an archive"),
        ("a.png", b"\x89PNG\r\n", "a picture"),
        ("a.txt", "The harbour".encode("utf-16"), "iconv -f UTF-16"),
    ],
)
def test_other_documents_are_refused_before_a_model_is_loaded(
    run: Run, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    path = tmp_path / name
    if content is None:
        _archive(path)
    else:
        path.write_bytes(content)
    done = run("compress", path, "-m", "no-such-model")
    assert (done.code, done.out) == (2, "")
    assert f"{path} is " in done.err
    assert why in done.err


@pytest.mark.parametrize("other", ["notes.md", "notes", "notes.TXT"])
def test_a_default_name_never_takes_another_documents_place(
    run: Run, tmp_path: Path, model_directory: str, other: str
) -> None:
    text, second = tmp_path / "notes.txt", tmp_path / other
    text.write_text(DOCUMENT, encoding="utf-8")
    second.write_text(OTHER, encoding="utf-8")
    assert run("compress", text, "-m", model_directory).code == 0
    target = tmp_path / "notes.gist.safetensors"
    before = target.read_bytes()
    text.unlink()  # that it is gone makes its gist no less its own
    done = run("compress", second, "-m", "no-such-model")
    assert (done.code, target.read_bytes()) == (2, before)
    assert "the gist of another document" in done.err
    assert "with -o" in done.err
    own = tmp_path / "own.gist.safetensors"
    assert run("compress", second, "-o", own, "-m", model_directory).code == 0
    done = run("compress", second, "-o", target, "-m", model_directory)
    assert done.code == 0
    assert "warning" in done.err
    assert "replaced" in done.err
    gist = GistCache.load(target)
    assert is_made_from(gist.info, OTHER)
    assert gist.info.source_hash is None  # a name that the user gave says nothing of the document


def test_the_same_document_may_replace_its_gist(
    run: Run, document: Path, model_directory: str
) -> None:
    for text in (DOCUMENT, DOCUMENT, OTHER):
        document.write_text(text, encoding="utf-8")
        done = run("compress", document, "-m", model_directory)
        assert (done.code, done.err) == (0, "")
    renamed = document.rename(document.with_suffix(".md"))  # the same text by another name
    assert run("compress", renamed, "-m", model_directory).err == ""


def test_a_damaged_gist_may_be_replaced_and_a_text_may_not(
    run: Run, document: Path, model_directory: str
) -> None:
    target = document.with_suffix(".gist.safetensors")
    target.write_bytes(b"half a gist")
    done = run("compress", document, "-m", model_directory)
    assert (done.code, "is replaced" in done.err) == (0, True)
    letter = document.with_name("letter.txt")
    letter.write_text(OTHER, encoding="utf-8")
    done = run("compress", document, "-o", letter, "-m", "no-such-model")
    assert (done.code, letter.read_text(encoding="utf-8")) == (2, OTHER)
    assert "no gist file" in done.err


def test_an_export_does_not_replace_another(
    run: Run, tmp_path: Path, document: Path, model_directory: str
) -> None:
    first, second = (tmp_path / f"{n}.gist.safetensors" for n in (1, 2))
    run("compress", document, "-o", first, "-m", model_directory)
    document.write_text(OTHER, encoding="utf-8")
    run("compress", document, "-o", second, "-m", model_directory)
    adapter = tmp_path / "adapter"
    assert run("export", first, "--peft", adapter).code == 0
    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    done = run("export", second, "--peft", adapter)
    assert done.code == 2
    assert "holds another adapter" in done.err
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before
    assert run("export", first, "--peft", adapter).code == 0
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert run("export", first, "--peft", lora).code == 2
    assert os.listdir(lora) == ["adapter_config.json"]
    done = run("import", "--peft", adapter, "-o", second)
    assert "warning" in done.err
    assert run("import", "--peft", adapter, "-o", first).err == ""


def test_corpora_take_suffixes_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "A.TXT").write_text(DOCUMENT, encoding="utf-8")
    (tmp_path / "B.JSONL").write_text(json.dumps({"text": OTHER}) + "\n", encoding="utf-8")
    assert [one.text for one in read_documents(tmp_path)] == [DOCUMENT, OTHER]
    found = ["".join(text) for _, text in stream_documents(tmp_path)]
    assert found == [DOCUMENT, OTHER]
