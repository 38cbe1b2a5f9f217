"""A folder's gists are those of its texts as they are now, whatever times and sizes say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dnsity.inference import hardware
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.origin import is_made_from, source_hash, text_hash
from running import Run

THEN = "The ferry to the island leaves at seven. The code of the gate is 1111. " * 3
NOW = THEN.replace("1111", "2222")
TIME = (1_000_000_000, 1_000_000_000)


def _put(path: Path, text: str) -> None:
    """Write a text that has one time and one size, whatever it says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, TIME)


def _replaced_in_place(path: Path) -> None:
    _put(path, NOW)


def _exchanged(path: Path) -> None:
    """Two texts of one folder change names."""
    other = path.with_name("other.txt")
    path.rename(path.with_name("between"))
    other.rename(path)
    path.with_name("between").rename(other)


def _with_times_of_the_gist(path: Path) -> None:
    """Everything in the store gets the text's time, as an archive restores it."""
    _put(path, NOW)
    for gist in (path.parents[1] / "store").iterdir():
        os.utime(gist, TIME)


def _one_letter(path: Path) -> None:
    _put(path, THEN[:-3] + "!" + THEN[-2:])


CHANGES: list[Callable[[Path], None]] = [
    _replaced_in_place,
    _exchanged,
    _with_times_of_the_gist,
    _one_letter,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", ["gist", "select"])
def test_a_changed_text_of_the_same_time_and_size_is_compressed_again(
    run: Run, tmp_path: Path, model_directory: str, change: Callable[[Path], None], method: str
) -> None:
    text, store = tmp_path / "texts" / "a.txt", tmp_path / "store"
    _put(text, THEN)
    _put(text.with_name("other.txt"), NOW)
    command = ("compress", text.parent, "-o", store, "-m", model_directory, "--json",
               "--method", method)  # fmt: skip
    run(*command)
    before = GistCache.load(store / "a.txt.gist.safetensors")
    change(text)
    again = run(*command).json
    replaced = {Path(one["path"]).name: one["reason"] for one in again["replaced"]}
    assert "text has changed" in replaced["a.txt.gist.safetensors"]
    after = GistCache.load(store / "a.txt.gist.safetensors")
    assert is_made_from(after.info, text.read_text(encoding="utf-8"))
    assert not is_made_from(before.info, text.read_text(encoding="utf-8"))
    assert run(*command).json["kept"] == 2


def test_a_text_of_another_time_and_place_is_not_compressed_again(
    run: Run, tmp_path: Path, model_directory: str
) -> None:
    text, store = tmp_path / "texts" / "a.txt", tmp_path / "store"
    _put(text, THEN)
    run("compress", text.parent, "-o", store, "-m", model_directory)
    text.touch()
    text.parent.rename(tmp_path / "moved")
    done = run("compress", tmp_path / "moved", "-o", store, "-m", model_directory, "--json").json
    assert (done["compressed"], done["kept"], done["replaced"]) == (0, 1, [])


def test_a_gist_that_does_not_tell_its_text_is_made_again(
    run: Run, tmp_path: Path, model_directory: str
) -> None:
    """Such as earlier versions wrote, with the time of the text."""
    text, store = tmp_path / "texts" / "a.txt", tmp_path / "store"
    _put(text, THEN)
    command = ("compress", text.parent, "-o", store, "-m", model_directory)
    run(*command)
    target = store / "a.txt.gist.safetensors"
    gist = GistCache.load(target)
    without = gist.info.model_copy(update={"text_hash": None, "source_hash": None})
    GistCache(gist.layers, without).save(target)
    os.utime(target, TIME)
    done = run(*command)
    assert "1 gists replaced" in done.out
    assert "earlier version" in done.err
    assert GistCache.load(target).info == gist.info


def test_a_text_that_can_no_longer_be_compressed_leaves_its_old_gist_with_a_word(
    run: Run, tmp_path: Path, model_directory: str
) -> None:
    text, store = tmp_path / "texts" / "a.txt", tmp_path / "store"
    _put(text, THEN)
    command = ("compress", text.parent, "-o", store, "-m", model_directory)
    run(*command)
    _put(text, " \n")
    done = run(*command)
    assert done.code == 2
    assert f"{store / 'a.txt.gist.safetensors'} stays as it was" in done.err


@pytest.mark.parametrize("first", [1.0, 3.0])
def test_a_folder_keeps_the_compute_type_of_its_gists(
    run: Run, tmp_path: Path, model_directory: str, monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    """The measurement can come out differently in the next run."""
    texts, store = tmp_path / "texts", tmp_path / "store"
    command = ("compress", texts, "-o", store, "-m", model_directory)
    for number, gain in enumerate([first, 4.0 - first]):
        _put(texts / f"{number}.txt", THEN)
        monkeypatch.setattr(hardware, "cpu_speeds", lambda gain=gain: hardware.Speeds(gain, 1.0))
        assert run(*command).code == 0
    types = {GistCache.load(path).layers[0][0].dtype for path in store.iterdir()}
    assert types == {torch.float32 if first == 1.0 else torch.bfloat16}


def test_hashes_tell_texts_and_models_apart(tmp_path: Path, model_directory: str) -> None:
    model = GistModel.from_pretrained(model_directory)
    gist = model.compress(THEN)
    assert is_made_from(gist.info, THEN)
    assert not is_made_from(gist.info, THEN + " ")
    ours, theirs = gist.info.fingerprints, {**gist.info.fingerprints, "weights": "others"}
    assert text_hash(THEN, ours) != text_hash(THEN, theirs)
    assert text_hash(THEN, ours) != source_hash(THEN, ours)
    assert source_hash("here/a.txt", ours) == source_hash(Path("there/a.txt"), ours)
    one, other = (model.compress(THEN).save(tmp_path / name) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
