"""Short real runs: what is trained, what is unchanged, and that resuming changes no result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from dnsity.errors import BadInputError, DivergedError
from dnsity.inference.gist_model import GistModel
from dnsity.training.resume import newest_complete
from dnsity.training.train_gist import TrainConfig, starting_point, train
from dnsity.training.trainer import WEIGHTS
from support import assert_same
from templates import CHATML


def _config(
    base: Path, corpus: dict[str, list[str]], settings: dict[str, Any], **more: Any
) -> TrainConfig:
    values = {
        "base": str(base),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": corpus, "corpus_characters": 20_000},
        "stages": [
            {"tokens": [40], "share": {"gist": 1.0, "full": 0.5, "text": 0.5}, "advance_at": 0.9},
            {"tokens": [80]},
        ],
        "training": settings,
        **more,
    }
    return TrainConfig.model_validate(values)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, base_directory: Path, corpus: dict[str, list[str]]
) -> Path:
    """One uninterrupted run of six steps."""
    folder = tmp_path_factory.mktemp("run")
    settings = {
        "steps": 6, "tokens_per_step": 256, "learning_rate": 3e-3, "warmup_steps": 1,
        "bf16": False, "save_steps": 3, "log_steps": 1,
    }  # fmt: skip
    train(_config(base_directory, corpus, settings), folder)
    return folder


def test_the_result_compresses_and_answers(finished: Path) -> None:
    model = GistModel.from_pretrained(finished / "model")
    gist = model.compress("The harbour is quiet. " * 6)
    assert gist.info.n_gist == 4
    assert model.ask(gist, "What is quiet?").new_tokens >= 0
    assert json.loads((finished / "run.json").read_text("utf-8"))["config"]["gist"]["gists"] == 4


def _killed_after_three_steps(finished: Path, folder: Path) -> Path:
    """Write the files of a run that was killed between its two checkpoints."""
    run = folder / "run"
    run.mkdir()
    shutil.copytree(finished / "checkpoint-3", run / "checkpoint-3")
    return run


def test_a_resumed_run_is_the_same_run(
    finished: Path, tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any],
) -> None:  # fmt: skip
    interrupted = _killed_after_three_steps(finished, tmp_path)
    train(_config(base_directory, corpus, run_settings), interrupted, resume=True)
    whole = load_file(finished / "checkpoint-6" / WEIGHTS)
    resumed = load_file(interrupted / "checkpoint-6" / WEIGHTS)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_torn_checkpoint_is_passed_over(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in sorted(p.name for p in (finished / "checkpoint-6").iterdir()):
        folder = tmp_path / file
        shutil.copytree(finished, folder)
        torn = folder / "checkpoint-6" / file
        torn.write_bytes(torn.read_bytes()[:-20])
        if file.endswith((".json", ".safetensors", ".pt", ".pth")):
            assert newest_complete(folder) == folder / "checkpoint-3", file
            assert f"{folder / 'checkpoint-6'} is incomplete" in caplog.text
    (tmp_path / "x" / "checkpoint-9").mkdir(parents=True)
    assert newest_complete(tmp_path / "x") is None


def test_resuming_a_finished_run_changes_nothing(
    finished: Path, tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any],
) -> None:  # fmt: skip
    again = shutil.copytree(finished, tmp_path / "run")
    train(_config(base_directory, corpus, run_settings), again, resume=True)
    assert [p.name for p in sorted(again.glob("checkpoint-*"))] == ["checkpoint-3", "checkpoint-6"]
    files = [p.relative_to(finished) for p in (finished / "model").rglob("*.safetensors")]
    assert files
    for file in files:
        assert (finished / file).read_bytes() == (again / file).read_bytes()


def test_a_run_is_not_begun_over_another(
    finished: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    before = (finished / "run.json").read_bytes()
    with pytest.raises(BadInputError, match=r"contains checkpoints of an earlier run.*--resume"):
        train(_config(base_directory, corpus, {**run_settings, "seed": 9}), finished)
    assert (finished / "run.json").read_bytes() == before


def test_a_run_that_diverges_stops_and_keeps_its_last_checkpoint(
    finished: Path, tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any],
) -> None:  # fmt: skip
    run = _killed_after_three_steps(finished, tmp_path)
    wild = {**run_settings, "learning_rate": 1e15}
    with pytest.raises(DivergedError, match=r"step \d.*mode \w+.* tokens.*--resume"):
        train(_config(base_directory, corpus, wild), run, resume=True)
    assert newest_complete(run) == run / "checkpoint-3"
    assert not (run / "model").exists()


def test_weights_that_are_not_finite_are_not_saved(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    every_step = {**run_settings, "learning_rate": 1e15, "save_steps": 1}
    with pytest.raises(DivergedError):
        train(_config(base_directory, corpus, every_step), tmp_path)
    for checkpoint in tmp_path.glob("checkpoint-*"):
        assert all(t.isfinite().all() for t in load_file(checkpoint / WEIGHTS).values())


def test_what_no_gradient_reaches_is_refused_before_the_run(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lora = {
        "gist": {"gists": 4, "window_tokens": 96, "scope": "document"},
        "lora": {"rank": 4, "alpha": 8},
        "stages": [{"tokens": [40]}],
    }
    config = _config(base_directory, corpus, run_settings, **lora)
    monkeypatch.setattr("dnsity.model.gist_lm.without_idle_modules", lambda lora, _: lora)
    with pytest.raises(BadInputError, match=r"no gradient reaches .*q_proj.* and \d+ more"):
        train(config, tmp_path)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_stage_trains_only_the_gists_it_draws(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    config = _config(
        base_directory, corpus, run_settings, stages=[{"tokens": [40], "gists": [1, 2]}]
    )
    before = starting_point(config)[0].gist_rows.detach()
    train(config, tmp_path)
    after = load_file(tmp_path / "checkpoint-6" / WEIGHTS)["gist_rows"]
    moved = (after - before).abs().amax(dim=1)
    decayed = run_settings["steps"] * run_settings["learning_rate"] * 0.01 * before.abs().max()
    assert (moved[:2] > 10 * decayed).all()
    assert (moved[2:] <= decayed).all()


def test_a_stage_cannot_draw_gists_that_do_not_exist(
    base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=r"stages sample \[2, 5\] gists, allowed are 1 to"):
        _config(base_directory, corpus, run_settings, stages=[{"tokens": [40], "gists": [2, 5]}])
    with pytest.raises(ValidationError, match=r"probe asks with \[5\] gists, allowed are 1 to"):
        _config(base_directory, corpus, run_settings, probe={"corpus": corpus, "gists": [5]})


def test_a_stage_cannot_draw_windows_that_chunks_do_not_fill(
    base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    gist = {"gists": 4, "window_tokens": 96, "chunk_tokens": 32, "scope": "full"}
    stage = {"tokens": [40], "windows": [64]}
    _config(base_directory, corpus, run_settings, gist=gist, stages=[stage])
    stage["windows"] = [40]
    with pytest.raises(ValidationError, match="window_tokens=40 must be a multiple of"):
        _config(base_directory, corpus, run_settings, gist=gist, stages=[stage])


def test_lora_leaves_the_base_as_it_was(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    config = _config(
        base_directory,
        corpus,
        run_settings,
        gist={"gists": 4, "window_tokens": 96, "scope": "document"},
        lora={"rank": 4, "alpha": 8},
        stages=[{"tokens": [40]}],
    )
    train(config, tmp_path)
    saved = load_file(tmp_path / "checkpoint-6" / WEIGHTS)
    assert all("lora_" in name or name == "gist_rows" for name in saved)
    model = GistModel.from_pretrained(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(base_directory, dtype=torch.float32)
    ids = torch.tensor([model.loaded.encoder.encode("The harbour is quiet.")])
    with torch.no_grad():
        assert_same(model.loaded.lm.answer(None, ids), base(ids).logits)
        compressed = model.loaded.lm.compress(ids)
        untrained = GistModel.from_pretrained(tmp_path / "model").loaded.lm
        for name, weight in untrained.named_parameters():
            if "lora_B" in name:
                weight.zero_()
        assert not torch.equal(compressed[0][0], untrained.compress(ids)[0][0])


def test_a_chat_model_is_asked_in_its_own_frame_and_trained_further_in_it(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    base = shutil.copytree(base_directory, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(base)
    train(_config(base, corpus, run_settings), tmp_path / "one")
    model = GistModel.from_pretrained(tmp_path / "one" / "model")
    assert model.loaded.lm.spec.frame == model.loaded.frame.name == "chat"
    further = _config(tmp_path / "one" / "model", corpus, run_settings)
    assert starting_point(further)[0].spec.frame == "chat"
    plain = further.gist.model_copy(update={"frame": "plain"})
    with pytest.raises(BadInputError, match="the configuration asks for"):
        starting_point(further.model_copy(update={"gist": plain}))


def test_missing_corpus_is_a_clear_error(
    tmp_path: Path, base_directory: Path, run_settings: dict[str, Any]
) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.jsonl"):
        train(_config(base_directory, {"en": ["nowhere.jsonl"]}, run_settings), tmp_path)
