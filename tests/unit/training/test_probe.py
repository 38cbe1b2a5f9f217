"""Probes: fixed held-out documents, honest ways to answer, no trace left in the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dnsity.data.encode import TextEncoder
from dnsity.data.text.frame import Plain
from dnsity.inference.gist_model import GistModel
from dnsity.training.callbacks import METRICS
from dnsity.training.model_with_loss import ModelWithLoss
from dnsity.training.probe import Probe, ProbeConfig
from dnsity.training.train_gist import TrainConfig, train
from dnsity.training.trainer import WEIGHTS
from tiny import tiny_gist_model


def _values(base: Path, corpus: dict[str, list[str]], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "base": str(base),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": corpus, "corpus_characters": 20_000},
        "stages": [{"tokens": [40]}],
        "training": settings,
    }


@pytest.fixture
def probe(corpus: dict[str, list[str]]) -> ProbeConfig:
    values = {"corpus": corpus, "tokens": [40, 60], "documents": 3, "every_steps": 4}
    return ProbeConfig.model_validate(values)


def _teach(model: ModelWithLoss, asker: Probe) -> None:
    """Train on the probe's own questions until most of them are answered."""
    optimiser = torch.optim.AdamW(model.lm.parameters(), 3e-3)
    for epoch in range(60):
        for _, batch in asker._batches:
            optimiser.zero_grad()
            model(batch).loss.backward()
            optimiser.step()
        if epoch % 4 == 3 and asker.ask(model)["gist"] > 0.5:
            return


def test_a_probe_gives_the_score_that_asking_gives(probe: ProbeConfig) -> None:
    """Teacher-forced exactness is what greedy answers to the same questions come to."""
    model = tiny_gist_model()
    lm, encoder = model.loaded.lm, TextEncoder(model.loaded.tokenizer)
    trained = ModelWithLoss(lm)
    asker = Probe(probe, Plain(encoder, lm.spec.question_template), ("gist", "none"))
    trained.train()
    assert asker.ask(trained)["gist"] == 0  # random weights know no passkey
    assert trained.training
    # A model taught the answers of these very documents by heart has them all, from gists only.
    _teach(trained, asker)
    taught = asker.ask(trained)
    assert taught["gist"] > 0.5
    greedy = []
    for _, batch in asker._batches:
        document = encoder.decode(batch.document_ids[0].tolist())
        row = batch.input_ids[0].tolist()
        asked = encoder.decode(row[: len(row) - batch.labels.shape[1] + 1])
        before, after = lm.spec.question_template.split("{question}")
        question = asked.removeprefix(before).removesuffix(after)
        gold = encoder.decode(row[len(row) - batch.labels.shape[1] + 1 : -1]).strip()
        greedy.append(model.ask(model.compress(document), question).text == gold)
    assert taught["gist"] == pytest.approx(sum(greedy) / len(greedy), abs=1e-4)
    assert taught["documents"] == len(greedy) == 2 * 2 * 3
    per_length = [taught[f"gist_{length}"] for length in probe.tokens]
    assert taught["gist"] == pytest.approx(sum(per_length) / 2, abs=1e-4)


def test_the_first_gists_can_be_asked_alone(probe: ProbeConfig) -> None:
    loaded = tiny_gist_model().loaded
    lm, encoder = loaded.lm, TextEncoder(loaded.tokenizer)
    several = {"gists": [1, lm.spec.gists], "kinds": {"codes": 1.0}, "max_facts": 2}
    asker = Probe(
        probe.model_copy(update=several), Plain(encoder, lm.spec.question_template), ("gist",)
    )
    assert max(batch.labels.shape[0] for _, batch in asker._batches) == 2
    model = ModelWithLoss(lm)
    _teach(model, asker)
    found = asker.ask(model)
    assert found[f"gist_of_{lm.spec.gists}"] == found["gist"] > found["gist_of_1"]
    lm.gist_rows.data[1:].normal_()  # a first gist sees none of the others
    assert asker.ask(model)["gist_of_1"] == found["gist_of_1"]


def test_probing_changes_nothing_and_is_written_down(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any], probe: ProbeConfig,
) -> None:  # fmt: skip
    values = _values(base_directory, corpus, run_settings)
    train(TrainConfig.model_validate(values), tmp_path / "plain")
    probed = {**values, "probe": probe.model_dump()}
    train(TrainConfig.model_validate(probed), tmp_path / "probed")
    one, other = (load_file(tmp_path / x / "checkpoint-6" / WEIGHTS) for x in ("plain", "probed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = (tmp_path / "probed" / METRICS).read_text("utf-8").splitlines()
    found = [x for x in map(json.loads, lines) if "probe_gist" in x]
    assert [x["step"] for x in found] == [4, 6]
    assert all({"loss", "probe_full", "probe_none", "probe_gist_40"} <= x.keys() for x in found)
    result = json.loads((tmp_path / "probed" / "result.json").read_text("utf-8"))
    assert result["probe"]["gist"] == found[-1]["probe_gist"]
    assert result["probe"]["documents"] == 12
    assert json.loads((tmp_path / "plain" / "result.json").read_text("utf-8"))["probe"] is None


def test_a_finished_run_read_back_is_probed_again(
    tmp_path: Path, base_directory: Path, corpus: dict[str, list[str]],
    run_settings: dict[str, Any], probe: ProbeConfig,
) -> None:  # fmt: skip
    values = {**_values(base_directory, corpus, run_settings), "probe": probe.model_dump()}
    train(TrainConfig.model_validate(values), tmp_path)
    before = (tmp_path / "result.json").read_bytes()
    (tmp_path / "result.json").unlink()
    train(TrainConfig.model_validate(values), tmp_path, resume=True)
    assert (tmp_path / "result.json").read_bytes() == before
    assert GistModel.from_pretrained(tmp_path / "model").loaded.lm.spec.gists == 4
