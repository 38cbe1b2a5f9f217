"""`dnsity compress FOLDER -o STORE`: everything that can be compressed is, once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dnsity import GistCache
from running import Run
from tiny import DOCUMENT, LONG_DOCUMENT, MOST_TOKENS

TEXTS = {
    "a.txt": DOCUMENT,
    "deeper/b.md": LONG_DOCUMENT,
    "c.txt": DOCUMENT.replace("60479", "11111"),
    "deeper/a.txt": "The boats are mended on Mondays and the nets on Fridays, always. " * 3,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "texts" / "picture.png").write_bytes(b"\0\0")
    return tmp_path / "texts"


def _files(store: Path) -> dict[str, bytes]:
    found = sorted(path for path in store.rglob("*") if path.is_file())
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_text_has_the_gists_it_has_alone(
    run: Run, folder: Path, tmp_path: Path, model_directory: str, jobs: int
) -> None:
    store = tmp_path / "store"
    done = run("compress", folder, "-o", store, "-m", model_directory, "--jobs", jobs, "--json")
    assert (done.json["compressed"], done.json["kept"], done.json["skipped"]) == (4, 0, [])
    assert set(_files(store)) == {f"{name}.gist.safetensors" for name in TEXTS}
    for name in TEXTS:
        alone = tmp_path / "alone.gist.safetensors"
        run("compress", folder / name, "-o", alone, "-m", model_directory)
        one, other = GistCache.load(store / f"{name}.gist.safetensors"), GistCache.load(alone)
        assert one.info == other.info
        for (k, v), (k2, v2) in zip(one.layers, other.layers, strict=True):
            # Padding beside longer files changes the order of summation, nothing else.
            assert (k - k2).abs().max() < 1e-4
            assert (v - v2).abs().max() < 1e-4


def test_what_is_there_is_kept_and_the_rest_is_done(
    run: Run, folder: Path, tmp_path: Path, model_directory: str, other_directory: str
) -> None:
    store = tmp_path / "store"
    command = ("compress", folder, "-o", store, "--json", "-m")
    run(*command, model_directory)
    before = _files(store)
    again = run(*command, model_directory).json
    assert (again["compressed"], again["kept"]) == (0, 4)
    (store / "a.txt.gist.safetensors").unlink()
    damaged = store / "c.txt.gist.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    text = folder / "deeper" / "b.md"
    text.write_text(LONG_DOCUMENT + " And more.", encoding="utf-8")
    later = (store / "deeper/b.md.gist.safetensors").stat().st_mtime + 10
    os.utime(text, (later, later))
    mended = run(*command, model_directory).json
    assert (mended["compressed"], mended["kept"]) == (3, 1)
    after = _files(store)
    assert GistCache.load(damaged).info.n_context > 0
    assert after["deeper/a.txt.gist.safetensors"] == before["deeper/a.txt.gist.safetensors"]
    assert after["deeper/b.md.gist.safetensors"] != before["deeper/b.md.gist.safetensors"]
    assert run(*command, other_directory).json["compressed"] == 4, "another model's are not kept"


def test_a_bad_file_is_named_and_costs_no_other(
    run: Run, folder: Path, tmp_path: Path, model_directory: str
) -> None:
    (folder / "empty.txt").write_text("  \n", encoding="utf-8")
    (folder / "latin.txt").write_bytes("Müller".encode("latin-1") * 20)
    (folder / "endless.txt").write_text("a b " * MOST_TOKENS, encoding="utf-8")
    store = tmp_path / "store"
    done = run("compress", folder, "-o", store, "-m", model_directory)
    assert done.code == 2
    assert "3 of 7 files could not be compressed" in done.err
    for said in ("latin.txt is not UTF-8", "the document is empty", "gist slots"):
        assert said in done.err
    assert "4 files compressed" in done.out
    assert set(_files(store)) == {f"{name}.gist.safetensors" for name in TEXTS}


def test_a_folder_without_texts_or_target_is_refused(
    run: Run, folder: Path, tmp_path: Path, model_directory: str
) -> None:
    done = run("compress", folder, "-m", model_directory)
    assert (done.code, "with -o FOLDER" in done.err) == (2, True)
    shutil.rmtree(folder / "deeper")
    for path in folder.glob("*.txt"):
        path.unlink()
    done = run("compress", folder, "-o", tmp_path / "store", "-m", model_directory)
    assert (done.code, "no .txt or .md file" in done.err) == (2, True)
