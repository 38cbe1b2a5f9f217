"""Short real runs: what is trained, what is left alone, and that a resumed run is the same run."""

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

from dnsity.data.collate import IGNORE, collate
from dnsity.errors import BadInputError, DivergedError
from dnsity.inference.gist_model import GistModel
from dnsity.model.gist_lm import GistLM
from dnsity.training.batches import Batches
from dnsity.training.resume import newest_whole
from dnsity.training.train_gist import TrainConfig, starting_point, train
from dnsity.training.trainer import WEIGHTS
from support import assert_same


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
        "steps": 6, "tokens_per_batch": 256, "learning_rate": 3e-3, "warmup_steps": 1,
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
    """Lay out what a run leaves that was killed between its two checkpoints."""
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
            assert newest_whole(folder) == folder / "checkpoint-3", file
            assert f"{folder / 'checkpoint-6'} is not whole" in caplog.text
    (tmp_path / "x" / "checkpoint-9").mkdir(parents=True)
    assert newest_whole(tmp_path / "x") is None


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


def test_a_run_that_diverges_stops_and_keeps_its_last_checkpoint(
    finished: Path, tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any],
) -> None:  # fmt: skip
    run = _killed_after_three_steps(finished, tmp_path)
    wild = {**run_settings, "learning_rate": 1e30}
    with pytest.raises(DivergedError, match=r"step \d.*--resume"):
        train(_config(base_directory, corpus, wild), run, resume=True)
    assert newest_whole(run) == run / "checkpoint-3"
    assert not (run / "model").exists()


def test_weights_that_are_not_finite_are_not_saved(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]], run_settings: dict[str, Any]
) -> None:
    every_step = {**run_settings, "learning_rate": 1e30, "save_steps": 1}
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
    }
    config = _config(base_directory, corpus, run_settings, **lora)
    monkeypatch.setattr(GistLM, "_without_what_never_acts", lambda _, lora: lora)
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
    with pytest.raises(ValidationError, match=r"stages draw \[2, 5\] gists, allowed are 1 to"):
        _config(base_directory, corpus, run_settings, stages=[{"tokens": [40], "gists": [2, 5]}])


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
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    )
    tokenizer.save_pretrained(base)
    train(_config(base, corpus, run_settings, chat=True), tmp_path / "one")
    model = GistModel.from_pretrained(tmp_path / "one" / "model")
    frame = "<|im_start|>{question}<|im_end|>"
    assert model.loaded.lm.spec.question_template == frame
    further = _config(tmp_path / "one" / "model", corpus, run_settings, chat=True)
    assert starting_point(further)[0].spec.question_template == frame
    with pytest.raises(BadInputError, match="the configuration asks for"):
        starting_point(further.model_copy(update={"chat": False}))


def test_batches_are_functions_of_their_number(
    finished: Path, corpus: dict[str, list[str]]
) -> None:
    from dnsity.data.mixture import Mixture, MixtureConfig
    from dnsity.training.curriculum import Curriculum, Stage

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    mixture = Mixture(MixtureConfig.model_validate({"corpus": corpus}), encoder)
    stages = [Stage(tokens=[48], share={"gist": 1.0, "text": 1.0})]

    def batches(seed: int) -> Batches:
        return Batches(mixture, encoder, Curriculum(stages), "Q {question} A", 256, seed)

    one, again, other = batches(1), batches(1), batches(2)
    kinds = set()
    for number in (5, 0, 3, 1, 2, 4):
        first, second = one.batch(number), again.batch(number)
        kinds.add(first.pop("mode"))
        assert all(torch.equal(first[k], second[k]) for k in first)
    assert kinds == {"gist", "text"}
    assert any(
        one.batch(n)["input_ids"].tolist() != other.batch(n)["input_ids"].tolist() for n in range(3)
    )


def test_prose_said_twice_is_learned_the_second_time(
    finished: Path, corpus: dict[str, list[str]]
) -> None:
    from dnsity.data.mixture import Mixture, MixtureConfig
    from dnsity.training.curriculum import Curriculum, Stage

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    mixture = Mixture(MixtureConfig.model_validate({"corpus": corpus}), encoder)
    curriculum = Curriculum([Stage(tokens=[20], share={"repeat": 1.0})])
    batch = Batches(mixture, encoder, curriculum, "Q {question} A", 256, 0).batch(0)
    ids, labels = batch["input_ids"], batch["labels"]
    assert torch.equal(ids[:, -40:-20], ids[:, -20:])
    assert torch.equal(labels[:, 1:], ids[:, -20:])
    assert (labels[:, 0] == IGNORE).all()


def test_a_batch_of_long_documents_holds_the_least_number(
    finished: Path, corpus: dict[str, list[str]]
) -> None:
    from dnsity.data.mixture import Mixture, MixtureConfig
    from dnsity.training.curriculum import Curriculum, Stage

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    mixture = Mixture(MixtureConfig.model_validate({"corpus": corpus}), encoder)

    def documents(tokens: int) -> int:
        curriculum = Curriculum([Stage(tokens=[tokens])])
        batches = Batches(mixture, encoder, curriculum, "Q {question} A", 256, 0, least_documents=3)
        return len(batches.batch(0)["document_ids"])

    assert documents(200) == 3
    assert documents(10) > 3


def test_every_hidden_needle_is_in_its_document(
    finished: Path, corpus: dict[str, list[str]]
) -> None:
    import random

    from dnsity.data.mixture import Mixture, MixtureConfig

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    config = MixtureConfig.model_validate({"corpus": corpus, "max_facts": 3, "tokens_per_fact": 30})
    mixture = Mixture(config, encoder)
    rng = random.Random(0)
    examples = [mixture.draw(rng, 200) for _ in range(40)]
    for example in examples:
        for question in example.questions:
            assert example.document.count(question.answer) >= 1
    assert {len(example.questions) for example in examples} == {1, 2, 3}
    assert {example.language for example in examples} == {"en", "ko"}
    batch = collate(examples[:4], encoder, "Q {question} A")
    assert batch["document_index"].max() == 3


def test_a_mixture_draws_what_it_is_asked_for(finished: Path, corpus: dict[str, list[str]]) -> None:
    import random

    from dnsity.data.mixture import DocumentKind, Mixture, MixtureConfig

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    mixture = Mixture(MixtureConfig.model_validate({"corpus": corpus}), encoder)
    rng = random.Random(0)
    kinds: dict[DocumentKind, str] = {
        "passkey": "passkey",
        "passphrase": "passphrase",
        "codes": "fact:access_code",
        "quote": "quote",
    }
    for kind, name in kinds.items():
        for _ in range(10):
            example = mixture.draw(rng, 100, {kind: 1.0})
            assert {question.kind for question in example.questions} <= {name, "passkey"}
            assert all(question.answer in example.document for question in example.questions)
            assert any(question.kind == name for question in example.questions)


def test_facts_say_only_what_they_are_asked_to(
    finished: Path, corpus: dict[str, list[str]]
) -> None:
    import random

    from dnsity.data.mixture import Mixture, MixtureConfig

    encoder = GistModel.from_pretrained(finished / "model").loaded.encoder
    config = {"corpus": corpus, "attributes": ["fee", "room"], "max_facts": 1}
    mixture = Mixture(MixtureConfig.model_validate(config), encoder)
    drawn = [mixture.draw(random.Random(n), 100, {"facts": 1.0}) for n in range(30)]
    kinds = {question.kind for example in drawn for question in example.questions}
    assert kinds == {"fact:fee", "fact:room"}
    with pytest.raises(ValidationError, match=r"unknown \['colour'\], allowed are"):
        MixtureConfig.model_validate({"corpus": corpus, "attributes": ["colour"]})


def test_missing_corpus_is_a_clear_error(
    tmp_path: Path, base_directory: Path, run_settings: dict[str, Any]
) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.jsonl"):
        train(_config(base_directory, {"en": ["nowhere.jsonl"]}, run_settings), tmp_path)
