"""Outputs replace nothing silently: not an input, not another gist; and exports fit their base."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsity.inference.gist_cache import GistCache
from running import Run
from tiny import LONG_DOCUMENT, tiny_base_model


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text(LONG_DOCUMENT, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("data", "chunk", "{}", "--tokens", "16"),
        ("data", "synthetic", "{}"),
        ("data", "niah", "--haystack", "{}", "--samples", "1", "--tokens", "64"),
    ],
)
def test_data_commands_do_not_write_over_their_input(
    run: Run, text: Path, command: tuple[str, ...]
) -> None:
    done = run(*(word.format(text) for word in command), "-o", text)
    assert done.code == 2
    assert "is an input of this command" in done.err
    assert text.read_text(encoding="utf-8") == LONG_DOCUMENT


def test_a_gist_of_other_settings_is_replaced_with_a_warning(
    run: Run, text: Path, model_directory: str
) -> None:
    command = ("compress", text, "-m", model_directory)
    assert "replaced" not in run(*command, "--method", "select", "--no-check").err
    done = run(*command)
    assert done.code == 0
    assert "was made with another model, method or settings; it is replaced" in done.err
    assert "replaced" not in run(*command).err


def test_an_export_for_a_base_of_another_shape_is_refused(
    run: Run, text: Path, tmp_path: Path, model_directory: str
) -> None:
    run("compress", text, "-m", model_directory)
    gist = text.with_suffix(".gist.safetensors")
    other = tmp_path / "other"
    tiny_base_model("llama", num_hidden_layers=5).loaded.lm.base.save_pretrained(other)
    done = run("export", gist, "--peft", tmp_path / "adapter", "--base", other)
    assert done.code == 2
    assert f"the gist has {len(GistCache.load(gist).layers)} layers" in done.err
    assert not (tmp_path / "adapter").exists()


def test_internal_settings_are_not_offered(run: Run, text: Path, model_directory: str) -> None:
    done = run("compress", text, "-m", model_directory, "--method", "refine", "--set", "xyz=1")
    assert done.code == 2
    assert "minutes" in done.err
    assert "state" not in done.err.split("unknown key")[1]


def test_an_empty_value_is_refused(run: Run, text: Path, model_directory: str) -> None:
    done = run("compress", text, "-m", model_directory, "--set", "gists=")
    assert done.code == 2
    assert "the value is empty" in done.err
