"""In the chat frame every answer is that of plain transformers on the templated prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from dnsity.data.batch import collate
from dnsity.data.example import Example, Question
from dnsity.errors import BadInputError, GistMismatchError
from dnsity.evaluation.methods import build
from dnsity.gist.spec import GistSpec
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.inference.likelihood import likelihoods
from dnsity.inference.methods.refine import Refine
from dnsity.inference.methods.select import Select
from dnsity.model.gist_lm import GistLM
from dnsity.training.answers import Condition, answers
from support import FAMILIES, assert_same, assert_same_keys, tiny_base
from templates import LLAMA3, WITH_SYSTEM, chat_tokenizer

DOCUMENT = "The harbour office opens at nine. The passkey is 60479. 나루터는 열 시에 엽니다. " * 3
SHORT_DOCUMENT = "나루터는 열 시에 문을 엽니다. The office opens at nine. " * 2
QUESTIONS = ["What is the passkey?", "몇 시에 엽니까?", "When does it open, please?"]
BRIEF = Sampling(max_new_tokens=8)


def _base(family: str, tokenizer: PreTrainedTokenizerFast, **more: Any) -> Any:
    return tiny_base(family, vocab_size=len(tokenizer), max_position_embeddings=1024, **more)


def _model(family: str = "llama", template: str = WITH_SYSTEM, **options: Any) -> GistModel:
    tokenizer = chat_tokenizer("cl100k", template)
    return GistModel.from_base(_base(family, tokenizer), tokenizer, **options)


def _prompt(model: GistModel, document: str, question: str) -> torch.Tensor:
    content = f"{document}\n\n{question}" if document else question
    ids = model.loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
    )
    return torch.tensor([ids])


def _plain_answer(model: GistModel, ids: torch.Tensor) -> str:
    """What transformers' own `generate` gives."""
    base, tokenizer = model.loaded.lm.base, model.loaded.tokenizer
    out = base.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=BRIEF.max_new_tokens,
        do_sample=False,
        eos_token_id=model.loaded.end_ids,
        pad_token_id=tokenizer.pad_token_id,
    )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("template", [WITH_SYSTEM, LLAMA3], ids=["with_system", "llama3"])
@pytest.mark.parametrize("family", FAMILIES)
def test_full_context_is_plain_transformers(family: str, template: str) -> None:
    model = _model(family, template)
    loaded = model.loaded
    full, nothing = build("full", loaded), build("none", loaded)
    slots = full.context(full.ingest(DOCUMENT), "").layers
    for question in QUESTIONS:
        ids = _prompt(model, DOCUMENT, question)
        asked = torch.tensor([loaded.frame.question(question)])
        with torch.no_grad():
            expected = loaded.lm.base(ids).logits[:, -1]
            assert slots is not None
            found = loaded.lm.answer(loaded.after_head(slots), asked, logits_to_keep=1)[:, -1]
        assert_same(found, expected, "logits")
        for method, document in ((full, DOCUMENT), (nothing, "")):
            given = method.answer(method.ingest(DOCUMENT), [question], BRIEF)[0].text.strip()
            assert given == _plain_answer(model, _prompt(model, document, question))


@pytest.mark.parametrize("family", FAMILIES)
def test_keeping_every_key_is_full_context(family: str) -> None:
    model = _model(family)
    gist = model.compress(DOCUMENT, method=Select(ratio=1))
    ids = model.loaded.frame.document(DOCUMENT)
    assert gist.info.n_gist == gist.info.n_context == len(ids)
    if family != "gemma3":  # whose early keys leave the window; they are kept and never seen
        assert_same_keys(gist.layers, model.loaded.read(ids))
    for question in QUESTIONS:
        expected = _plain_answer(model, _prompt(model, DOCUMENT, question))
        assert model.ask(gist, question, BRIEF).text == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_stream_and_single_agree_after_a_head(family: str) -> None:
    model = _model(family)
    gists = [model.compress(text, method=Select(ratio=2)) for text in (DOCUMENT, SHORT_DOCUMENT)]
    alone = [[model.ask(gist, q, BRIEF).text for q in QUESTIONS] for gist in gists]
    for gist, expected in zip(gists, alone, strict=True):
        assert [a.text for a in model.ask(gist, QUESTIONS, BRIEF)] == expected
        assert ["".join(model.stream(gist, q, BRIEF)) for q in QUESTIONS] == expected
    each = model.ask_each(gists, QUESTIONS[:2], BRIEF)
    assert [a.text for a in each] == [alone[0][0], alone[1][1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_is_plain_transformers_on_the_whole(family: str) -> None:
    model = _model(family)
    gist = model.compress(DOCUMENT, method=Select(ratio=1))
    turns: list[tuple[str, str]] = []
    messages = [{"role": "user", "content": f"{DOCUMENT}\n\n{QUESTIONS[0]}"}]
    for question in QUESTIONS:
        if turns:
            messages.append({"role": "user", "content": question})
        ids = model.loaded.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        given = model.ask(gist, question, BRIEF, turns=turns).text
        assert given == _plain_answer(model, torch.tensor([ids]))
        assert "".join(model.stream(gist, question, BRIEF, turns=turns)) == given
        turns.append((question, "At nine."))
        messages.append({"role": "assistant", "content": "At nine."})


def test_choices_are_scored_in_the_frame() -> None:
    model = _model()
    loaded = model.loaded
    slots = loaded.read(loaded.frame.document(DOCUMENT))
    choices = ["nine", "열 시"]
    found = likelihoods(loaded, slots, QUESTIONS[0], choices)
    prompt = _prompt(model, DOCUMENT, QUESTIONS[0])[0].tolist()
    for choice, one in zip(choices, found, strict=True):
        own = loaded.frame.continuation(choice)
        with torch.no_grad():
            logs = loaded.lm.base(torch.tensor([prompt + own])).logits[0].log_softmax(-1)
        at = range(len(prompt) - 1, len(prompt) + len(own) - 1)
        expected = sum(float(logs[place, token]) for place, token in zip(at, own, strict=True))
        assert one.log == pytest.approx(expected, rel=1e-4)


EXAMPLES = [
    Example(
        DOCUMENT, (Question(QUESTIONS[0], "60479", "a"), Question("Where?", "x", "a")), "en", "a"
    ),
    Example(SHORT_DOCUMENT, (Question(QUESTIONS[1], "열 시", "b"),), "ko", "b"),
]


@pytest.mark.parametrize("chunking", ["independent", "carry"])
@pytest.mark.parametrize("placement", ["append", "spread"])
@pytest.mark.parametrize("window", [512, 40])
@pytest.mark.parametrize("family", ["llama", "qwen3-tied"])
def test_two_passes_after_a_head_are_the_masked_sequence(
    family: str, window: int, placement: str, chunking: str
) -> None:
    tokenizer = chat_tokenizer("cl100k", WITH_SYSTEM)
    spec = GistSpec.model_validate(
        {"gists": 4, "window_tokens": window, "placement": placement, "chunking": chunking,
         "scope": "full", "frame": "chat"}
    )  # fmt: skip
    lm = GistLM(_base(family, tokenizer), spec).eval()
    model = GistModel(_loaded(lm, tokenizer))
    frame = model.loaded.frame
    assert len(frame.head) > 4
    batch = collate(EXAMPLES, frame)
    with torch.no_grad():
        two_pass, masked = answers(lm, batch, "gist"), answers(lm, batch, "gist", path="masked")
    taken = batch.labels[:, 1:] >= 0
    assert_same(two_pass[:, :-1][taken], masked[:, :-1][taken], "logits")
    # and both are what compressing and asking do
    gist = model.compress(DOCUMENT)
    asked = torch.tensor([frame.question(QUESTIONS[0]) + frame.answer("60479")])
    with torch.no_grad():
        logits = lm.answer(model.loaded.after_head(gist.layers), asked)
    own = len(frame.answer("60479"))
    assert_same(logits[0, -own - 1 : -1], two_pass[0, -own - 1 : -1], "logits")


def _loaded(lm: GistLM, tokenizer: PreTrainedTokenizerFast) -> Any:
    from dnsity.inference.loaded import LoadedModel

    return LoadedModel(lm, tokenizer, "tiny", "tiny")


@pytest.mark.parametrize("mode", ["full", "none"])
def test_training_sees_the_prompts_that_answers_see(mode: Condition) -> None:
    tokenizer = chat_tokenizer("cl100k", LLAMA3)
    lm = GistLM(_base("llama", tokenizer), GistSpec(scope="full", frame="chat")).eval()
    model = GistModel(_loaded(lm, tokenizer))
    batch = collate(EXAMPLES, model.loaded.frame)
    with torch.no_grad():
        logits = answers(lm, batch, mode)
        document = "" if mode == "none" else DOCUMENT
        prompt = _prompt(model, document, QUESTIONS[0])[0].tolist()
        own = model.loaded.frame.answer("60479")
        expected = lm.base(torch.tensor([prompt + own])).logits
    assert_same(logits[0, -len(own) - 1 :], expected[0, -len(own) - 1 :], "logits")


def test_refining_leaves_the_head_alone_and_learns_the_document() -> None:
    model = _model()
    head = [tensor.clone() for layer in model.loaded.head or () for tensor in layer]
    assert head
    gist = model.compress(DOCUMENT, method=Refine(gists=6, steps=12, rows=24))
    assert gist.info.n_gist == 6
    assert gist.info.settings["loss_after"] < gist.info.settings["loss_before"]
    for before, now in zip(
        head, [x for layer in model.loaded.head or () for x in layer], strict=True
    ):
        assert torch.equal(before, now)
    assert all(keys.shape[2] == 6 for keys, _ in gist.layers)


def test_a_gist_of_another_frame_is_refused_by_name(tmp_path: Path) -> None:
    chat = _model()
    gist = GistCache.load(
        chat.compress(DOCUMENT, method=Select(ratio=2)).save(tmp_path / "a.gist.safetensors")
    )
    assert gist.info.frame == "chat"
    plain = _model(frame="plain")
    with pytest.raises(GistMismatchError, match=r"made in the 'chat' frame.*use --frame chat"):
        plain.ask(gist, QUESTIONS[0])
    with pytest.raises(GistMismatchError, match="another chat template, system prompt or instr"):
        _model(system="Be brief.").ask(gist, QUESTIONS[0])
    with pytest.raises(GistMismatchError, match="another chat template, system prompt or instr"):
        _model(instruction="Use the text.").ask(gist, QUESTIONS[0])
    assert chat.ask(gist, QUESTIONS[0], BRIEF).text == _model().ask(gist, QUESTIONS[0], BRIEF).text


def test_every_declared_end_ends_an_answer_and_none_is_shown() -> None:
    model = _model()
    loaded = model.loaded
    gist = model.compress(DOCUMENT, method=Select(ratio=1))
    ids = _prompt(model, DOCUMENT, QUESTIONS[0])
    with torch.no_grad():
        whole = loaded.lm.base.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
    third = whole.index(whole[2])
    other = _model()
    other.loaded.lm.base.generation_config = GenerationConfig(eos_token_id=[whole[2], 1])
    assert set(other.loaded.end_ids) >= {whole[2], 1, *other.loaded.frame.end_ids}
    expected = loaded.encoder.decode(whole[:third]).strip()
    assert other.ask(gist, QUESTIONS[0], BRIEF).text == expected
    assert "".join(other.stream(gist, QUESTIONS[0], BRIEF)) == expected


def test_a_question_alone_follows_the_head() -> None:
    model = _model()
    given = answer(model.loaded, None, [QUESTIONS[0]], BRIEF)[0].text.strip()
    assert given == _plain_answer(model, _prompt(model, "", QUESTIONS[0]))
    with pytest.raises(BadInputError, match="question is empty"):
        answer(model.loaded, None, [" "], BRIEF)
