"""Harness tasks give the same results as asking the gists directly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from dnsity.errors import BadInputError
from dnsity.evaluation.harness import _KEPT, DnsityLM
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.methods import Gist
from dnsity.shapes import KeyValues
from tiny import DOCUMENT, LONG_DOCUMENT, save, tiny_gist_model

BARE = "{question}"
OTHER = "The bakery on the square opens at seven. Bread is sold there until noon. "
CHOICES = ["nine", "seven", "ten in the morning"]
ROWS: list[dict[str, Any]] = [
    {"passage": DOCUMENT, "question": "When does the office open?", "gold": 0},
    {"passage": OTHER, "question": "When does the bakery open?", "gold": 1},
    {"passage": DOCUMENT, "question": "What is the passkey?", "gold": 2},
]
TEMPLATE = "Passage: {{passage}}\nQuestion: {{question}}\nAnswer:"


def _without_document(row: dict[str, Any]) -> str:
    return f"Passage: \nQuestion: {row['question']}\nAnswer:"


@pytest.fixture(scope="module")
def model() -> GistModel:
    return tiny_gist_model()


@pytest.fixture
def seen(model: GistModel, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Record the text that is compressed, and the text that the model gets after the gists."""
    texts: dict[str, list[str]] = {"compressed": [], "asked": []}
    decode = model.loaded.encoder.decode
    base: Any = model.loaded.lm.base
    real_answer, real_generate = model.loaded.lm.answer, base.generate
    real_compress = Gist.compress

    def spy_compress(method: Gist, loaded: Any, documents: list[str]) -> Any:
        texts["compressed"] += documents
        return real_compress(method, loaded, documents)

    def spy_answer(prefix: Any, ids: torch.Tensor, *rest: Any, **more: Any) -> Any:
        texts["asked"] += map(decode, ids.tolist())
        return real_answer(prefix, ids, *rest, **more)

    def spy_generate(**arguments: Any) -> Any:
        texts["asked"] += map(decode, arguments["input_ids"].tolist())
        return real_generate(**arguments)

    monkeypatch.setattr(Gist, "compress", spy_compress)
    monkeypatch.setattr(model.loaded.lm, "answer", spy_answer)
    monkeypatch.setattr(base, "generate", spy_generate)
    return texts


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run our own tasks only, without searching the built-in ones or describing the machine."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda storage: None)

    def run(model: Any, tasks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = simple_evaluate(
            model,
            tasks=tasks,
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
            **more,
        )
        return found

    return run


def _task(rows: list[dict[str, Any]] = ROWS, **settings: Any) -> dict[str, Any]:
    from datasets import Dataset

    return {
        "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
        "test_split": "test",
        "doc_to_text": TEMPLATE,
        **settings,
    }


def _choice(rows: list[dict[str, Any]] = ROWS) -> dict[str, Any]:
    return _task(
        rows,
        task="choice",
        output_type="multiple_choice",
        doc_to_target="gold",
        doc_to_choice=CHOICES,
        metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    )


def _open(rows: list[dict[str, Any]], until: str) -> dict[str, Any]:
    return _task(
        rows,
        task="open",
        output_type="generate_until",
        doc_to_target="answer",
        generation_kwargs={"until": [until], "max_gen_toks": 6, "do_sample": False},
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )


def _gists(model: GistModel, text: str) -> KeyValues:
    return Gist().compress(model.loaded, [text])[0].layers


def _direct(model: GistModel, row: dict[str, Any]) -> list[float]:
    """Ask the gists of a record's document without the harness."""
    layers = _gists(model, row["passage"])
    question = _without_document(row)
    continuations = [f" {choice}" for choice in CHOICES]
    found = likelihoods(model.loaded, layers, question, continuations, template=BARE)
    return [likelihood.log for likelihood in found]


def _scores(results: dict[str, Any]) -> list[list[float]]:
    samples = sorted(results["samples"]["choice"], key=lambda sample: sample["doc_id"])
    return [[score for [[score, _]] in sample["resps"]] for sample in samples]


def _request(prompt: str, second: Any, **doc: Any) -> Instance:
    return Instance("loglikelihood", doc, (prompt, second), 0, ("task", 0, 1))


def test_choices_are_scored_after_the_gists(
    model: GistModel, seen: dict[str, list[str]], evaluate: Callable[..., dict[str, Any]]
) -> None:
    results = evaluate(DnsityLM(model, context_field="passage"), [_choice()])
    assert sorted(seen["compressed"]) == sorted({DOCUMENT, OTHER})  # two questions, once compressed
    assert len(seen["asked"]) == len(ROWS) * len(CHOICES)
    assert not any("harbour" in text or "square" in text for text in seen["asked"])
    expected = [_direct(model, row) for row in ROWS]
    assert _scores(results) == [pytest.approx(scores) for scores in expected]
    right = [
        row["gold"] == scores.index(max(scores)) for row, scores in zip(ROWS, expected, strict=True)
    ]
    assert results["results"]["choice"]["acc,none"] == pytest.approx(sum(right) / len(right))
    assert results["config"]["context_field"] == "passage"


def test_answers_are_generated_from_the_gists(
    model: GistModel, seen: dict[str, list[str]], evaluate: Callable[..., dict[str, Any]]
) -> None:
    rows = [dict(row) for row in ROWS]
    for row in rows:
        [given] = answer(
            model.loaded,
            _gists(model, row["passage"]),
            [_without_document(row)],
            Sampling(max_new_tokens=6),
            template=BARE,
        )
        row["answer"] = given.text
    stop = rows[0]["answer"][2]
    rows[0]["answer"] = rows[0]["answer"].split(stop)[0]
    seen["asked"].clear()
    results = evaluate(DnsityLM(model, context_field="passage"), [_open(rows, until=stop)])
    samples = {sample["doc_id"]: sample for sample in results["samples"]["open"]}
    for number, row in enumerate(rows):
        assert samples[number]["resps"] == [[row["answer"].split(stop)[0]]]
    assert sorted(seen["asked"]) == sorted(map(_without_document, rows))
    assert samples[0]["exact_match"] == 1.0


def test_tasks_on_the_same_documents_share_them(
    model: GistModel, seen: dict[str, list[str]], evaluate: Callable[..., dict[str, Any]]
) -> None:
    rows = [{**row, "answer": "?"} for row in ROWS]
    evaluate(DnsityLM(model, context_field="passage"), [_choice(), _open(rows, "\n")])
    assert len(seen["compressed"]) == 2


def test_scattered_questions_compress_each_document_once(
    model: GistModel, seen: dict[str, list[str]]
) -> None:
    documents = [f"{number} boats. {DOCUMENT}" for number in range(_KEPT + 1)]
    lm = DnsityLM(model, context_field="text")
    prompts = [(text + asked, text) for asked in ("When?", "Who?") for text in documents]
    lm.loglikelihood([_request(prompt, " nine", text=text) for prompt, text in prompts])
    assert sorted(seen["compressed"]) == documents


def test_another_document_changes_the_likelihoods(
    model: GistModel, evaluate: Callable[..., dict[str, Any]]
) -> None:
    lm = DnsityLM(model, context_field="passage")
    changed = [{**row, "passage": LONG_DOCUMENT} for row in ROWS[:1]]
    assert _scores(evaluate(lm, [_choice(changed)])) != _scores(evaluate(lm, [_choice(ROWS[:1])]))


def test_the_model_is_known_by_name(
    model: GistModel, tmp_path: Path, evaluate: Callable[..., dict[str, Any]]
) -> None:
    arguments = f"pretrained={save(model, tmp_path / 'tiny')},context_field=passage"
    results = evaluate("dnsity", [_choice(ROWS[:1])], model_args=arguments, batch_size=1)
    assert _scores(results) == [pytest.approx(_direct(model, ROWS[0]), rel=1e-4)]


@pytest.mark.parametrize(
    ("prompt", "document", "question"),
    [
        ("Read.\n  A boat. \nQ:", "  A boat. ", "Read.\n\nQ:"),
        ("Read.\nA boat.\nQ:", "  A boat. ", "Read.\n\nQ:"),  # stripped by the template
        ("A boat.\nQ: x A: y\n\nA boat.\nQ:", "A boat.", "A boat.\nQ: x A: y\n\n\nQ:"),
        ("A boat.", "A boat.", "\n"),
    ],
)
def test_the_requests_own_document_is_cut(
    model: GistModel, prompt: str, document: str, question: str
) -> None:
    lm = DnsityLM(model, context_field="text")
    assert lm._cut([_request(prompt, "", text=document)])[0][1] == question


def test_a_document_left_in_the_examples_is_reported(
    model: GistModel, caplog: pytest.LogCaptureFixture
) -> None:
    lm = DnsityLM(model, context_field="text")
    lm._cut([_request("A boat. A: y\n\nA boat. A:", "", text="A boat.")])
    assert "1 of 1 prompts contain their document twice" in caplog.text


def test_a_prompt_that_is_all_document_can_be_continued(model: GistModel) -> None:
    lm = DnsityLM(model, context_field="text")
    layers = _gists(model, DOCUMENT)
    [scored] = likelihoods(model.loaded, layers, "\n", [" nine"], template=BARE)
    [(log, greedy)] = lm.loglikelihood([_request(DOCUMENT, " nine", text=DOCUMENT)])
    assert log == pytest.approx(scored.log)
    assert greedy == scored.greedy
    assert len(lm.generate_until([_request(DOCUMENT, {"max_gen_toks": 2}, text=DOCUMENT)])) == 1


def test_an_empty_prompt_has_no_document(model: GistModel) -> None:
    """Mutual information asks how likely a choice is alone."""
    lm = DnsityLM(model, context_field="text")
    [alone] = likelihoods(model.loaded, None, "", [" nine"], template=BARE)
    [(log, _)] = lm.loglikelihood([_request("", " nine", text=DOCUMENT)])
    assert log == pytest.approx(alone.log)


def test_space_before_a_continuation_belongs_to_it(model: GistModel) -> None:
    lm = DnsityLM(model, context_field="text")
    prompts = [(f"{DOCUMENT}Q: When? A: ", "nine"), (f"{DOCUMENT}Q: When? A:", " nine")]
    left, right = lm.loglikelihood([_request(*prompt, text=DOCUMENT) for prompt in prompts])
    assert left == right


def test_results_come_in_the_order_asked(model: GistModel) -> None:
    lm = DnsityLM(model, context_field="text")
    requests = [
        _request(f"{document}Q: When? A:", continuation, text=document)
        for continuation in (" nine", " ten")
        for document in (DOCUMENT, OTHER)
    ]
    single = [lm.loglikelihood([request])[0] for request in requests]
    together = lm.loglikelihood(requests)
    assert [log for log, _ in together] == pytest.approx([log for log, _ in single])


def test_without_a_field_prompts_are_read_as_they_are(model: GistModel) -> None:
    prompt = f"{DOCUMENT}Q: When? A:"
    [plain] = likelihoods(model.loaded, None, prompt, [" nine"], template=BARE)
    [(log, _)] = DnsityLM(model).loglikelihood([_request(prompt, " nine", text=DOCUMENT)])
    assert log == pytest.approx(plain.log)


def test_the_full_document_is_the_control(model: GistModel) -> None:
    lm = DnsityLM(model, context_field="text", method="full", max_gen_toks=8)
    ids = torch.tensor([model.loaded.encoder.encode(DOCUMENT)])
    with torch.inference_mode():
        layers = model.loaded.lm.read(ids)
    [full] = likelihoods(model.loaded, layers, "Q: When? A:", [" nine"], template=BARE)
    [(log, _)] = lm.loglikelihood([_request(f"{DOCUMENT}Q: When? A:", " nine", text=DOCUMENT)])
    assert log == pytest.approx(full.log)


def test_a_document_read_in_part_is_reported(
    model: GistModel, caplog: pytest.LogCaptureFixture
) -> None:
    lm = DnsityLM(model, context_field="text", method="full", max_gen_toks=8)
    document = LONG_DOCUMENT * 3
    lm.loglikelihood([_request(f"{document}Q: When? A:", " nine", text=document)])
    assert "full: read " in caplog.text


def test_sampling_is_honoured(model: GistModel) -> None:
    lm = DnsityLM(model, max_gen_toks=9)
    assert lm._decoding({"until": "\n"}) == (Sampling(9), ["\n"])
    assert lm._decoding({"temperature": 0.0, "do_sample": False, "num_beams": 1}) == (
        Sampling(9),
        [],
    )
    sampled = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_gen_toks": 3}
    assert lm._decoding(sampled) == (Sampling(3, temperature=0.7, top_p=0.9), [])


@pytest.mark.parametrize("unknown", [{"num_beams": 4}, {"repetition_penalty": 1.2}])
def test_other_decoding_is_refused(model: GistModel, unknown: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="ask for more than until"):
        DnsityLM(model).generate_until([_request("Q:", {"until": ["\n"], **unknown})])


def test_a_prompt_without_its_document_names_the_field(model: GistModel) -> None:
    lm = DnsityLM(model, context_field="text")
    with pytest.raises(BadInputError, match=r"'text' \(fields: text, id\).*doc_to_text"):
        lm.loglikelihood([_request("Q: When? A:", " nine", text=DOCUMENT, id=3)])


@pytest.mark.parametrize(
    ("doc", "found"),
    [({"body": DOCUMENT}, "does not exist"), ({"body": "", "text": ["a", "b"]}, "is a list")],
)
def test_a_field_without_text_is_refused(model: GistModel, doc: dict[str, Any], found: str) -> None:
    lm = DnsityLM(model, context_field="text")
    with pytest.raises(BadInputError, match=f"'text' {found}.*fields with text are: body"):
        lm.loglikelihood([_request(f"{DOCUMENT}Q:", " nine", **doc)])


def test_what_cannot_be_is_refused(model: GistModel) -> None:
    with pytest.raises(BadInputError, match=r"needs a second document.*one of gist, "):
        DnsityLM(model, "passage", method="gist_wrong_document")
    with pytest.raises(BadInputError, match="no method 'telepathy'"):
        DnsityLM(model, "passage", method="telepathy")
    with pytest.raises(BadInputError, match="no device 'cuda:99'"):
        DnsityLM("mini", "passage", device="cuda:99")
    with pytest.raises(BadInputError, match="no dtype 'float7'"):
        DnsityLM("mini", "passage", dtype="float7")
    with pytest.raises(BadInputError, match=r"loglikelihood_rolling.*--model hf"):
        DnsityLM(model, "passage").loglikelihood_rolling([])


def test_without_the_harness_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dnsity.evaluation.harness")
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(BadInputError, match=r"pip install dnsity\[harness\]"):
        import dnsity.evaluation.harness  # noqa: F401
