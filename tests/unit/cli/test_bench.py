"""`dnsity bench` on a shape small enough to be measured in a test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen3Config

from dnsity.bench import shapes
from running import Run

SMALL = (
    *("tokens=[256]", "gists=[4]", "batch=2", "stored=3"),
    *("new_tokens=2", "repeats=1", "train_tokens=[64]"),
)
SETTINGS = [part for setting in SMALL for part in ("--set", setting)]


@pytest.fixture(autouse=True)
def tiny_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 8192}
    monkeypatch.setitem(shapes.SHAPES, "tiny", lambda: Qwen3Config(**shape, **heads))


def test_results_table_and_picture(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    done = run("bench", "--shape", "tiny", *SETTINGS, "-o", target)
    assert done.code == 0, done.err
    for shown in (
        "full",
        "gist 4",
        "compress / plain prefill",
        "opening one of 3 files",
        "one question",
    ):
        assert shown in done.out
    result = json.loads(target.read_text("utf-8"))
    assert result["manifest"]["config"]["shape"] == "tiny"
    assert len(result["rows"]) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"bench.json", "bench.png", "bench.svg"}


@pytest.mark.parametrize("setting", ["repeats=1", "new_tokens=3"])
def test_a_run_that_was_cut_off_goes_on_if_nothing_has_changed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    target, part = tmp_path / "bench.json", tmp_path / "bench.part.json"
    given = ("bench", "--shape", "tiny", *SETTINGS, "-o", target)
    with monkeypatch.context() as patch:
        patch.setattr("dnsity.bench.cost._batched", cut_off)
        assert run(*given).code == 130
    assert list(tmp_path.iterdir()) == [part]
    kept = json.loads(part.read_text("utf-8"))["parts"]["256 tokens"]
    done = run(*given, "--set", setting)
    same = setting in SMALL
    assert (done.code, "measured before: 256 tokens, 3 gist files" in done.err) == (0, same)
    assert (json.loads(target.read_text("utf-8"))["rows"] == kept) == same
    assert not part.exists()


def test_a_run_goes_on_in_a_repository_that_its_own_file_made_dirty(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    given = ("bench", "--shape", "tiny", *SETTINGS, "-o", "bench.json")
    with monkeypatch.context() as patch:
        patch.setattr("dnsity.bench.cost._batched", cut_off)
        assert run(*given).code == 130
    assert json.loads(Path("bench.part.json").read_text("utf-8"))["manifest"]["dirty"] is False
    done = run(*given)
    assert (done.code, "measured before: 256 tokens" in done.err) == (0, True)
    assert json.loads(Path("bench.json").read_text("utf-8"))["manifest"]["dirty"] is True


def test_half_precision_is_computed_in(run: Run) -> None:
    result = run("bench", "--shape", "tiny", *SETTINGS, "--set", "dtype=bfloat16", "--json").json
    gist = next(row for row in result["rows"] if row["method"] == "gist 4")
    assert gist["kv_bytes"] == 4 * 2 * 2 * 8 * 2 * 2  # slots, layers, heads, width, pair, bytes


def small_base(directory: Path, **changes: Any) -> Path:
    """A base's directory without weights or tokenizer."""
    directory.mkdir(parents=True)
    config = {
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 9000,
        "max_position_embeddings": 128,
        **changes,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def test_the_directory_of_a_base_is_a_shape(run: Run, tmp_path: Path) -> None:
    base = small_base(tmp_path / "bases" / "little", quantization_config={"quant_method": "awq"})
    target = tmp_path / "bench.json"
    done = run("bench", "--shape", base, *SETTINGS, "-o", target)
    assert done.code == 0, done.err
    assert "little, random weights: time" in done.out
    text = target.read_text("utf-8")
    assert str(base) not in text, "results say nothing about where a base lies on this machine"
    manifest = json.loads(text)["manifest"]
    assert manifest["config"]["shape"] == "little"
    assert manifest["base"] == {
        "model_type": "qwen2",
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 9000,
    }
    full = next(row for row in json.loads(text)["rows"] if row["method"] == "full")
    assert full["kv_bytes"] % (3 * 2 * 12 * 2 * 4) == 0  # layers, heads, width, pair, bytes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocab_size": 300}, "has a vocabulary of 300; the bundled tokenizer"),
        ({"model_type": "t5", "architectures": ["T5Model"]}, "t5"),
        ({"model_type": "no such"}, "no usable base model"),
    ],
)
def test_a_directory_that_is_no_shape_is_refused(
    run: Run, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    done = run("bench", "--shape", small_base(tmp_path / "base", **changes), *SETTINGS)
    assert done.code == 2
    assert said in done.err, done.err


def test_mistakes_are_named(run: Run) -> None:
    done = run("bench", "--shape", "gpt-9")
    assert (done.code, "no shape 'gpt-9'" in done.err) == (2, True)
    assert "or the directory of a base model" in done.err
    done = run("bench", "--set", "tokens=[]", "--set", "dtype=int3")
    assert done.code == 2
    assert "tokens" in done.err
    assert "dtype" in done.err
