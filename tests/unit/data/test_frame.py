"""Frames: the ids of every prompt are those of the library's chat template, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dnsity.data.encode import TextEncoder
from dnsity.data.text.frame import Chat, Plain, frame_of
from dnsity.errors import BadInputError, UnsupportedModelError
from dnsity.gist.spec import GistSpec
from templates import (
    CHATML,
    CONTROL,
    GEMMA,
    KINDS,
    LLAMA32,
    TEMPLATES,
    TODAY,
    UNUSABLE,
    chat_tokenizer,
)

DOCUMENTS = [
    "The harbour office opens at nine.",
    "60479 is the passkey",
    "나루터 안내소는 열 시에 문을 엽니다.",
    '"Nine," she said.\n\n- one\n- two\n\n\n',
    "a\ttab, trailing spaces   ",
    "x",
]
QUESTIONS = ["What is the passkey?", "몇 시에 엽니까?", "(Which one?)", "1 + 1 = ?"]
TURNS = [("When does it open?", "At nine."), ("몇 시?", "열 시\n정각입니다."), ("Sure?", "Yes")]


def _library(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> list[int]:
    """The ids of the library; the date is fixed, and hybrid models answer directly."""
    template = str(tokenizer.chat_template).replace(TODAY, "26 Jul 2024")
    options: dict[str, Any] = {"chat_template": template, "enable_thinking": False}
    ids: list[int] = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False, **options
    )
    return ids


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_head_document_and_question_are_the_librarys_ids(kind: str, name: str) -> None:
    tokenizer = chat_tokenizer(kind, TEMPLATES[name])
    frame = Chat(TextEncoder(tokenizer))
    for document in DOCUMENTS:
        for question in QUESTIONS:
            whole = [{"role": "user", "content": f"{document}\n\n{question}"}]
            ours = frame.head + frame.document(document) + frame.question(question)
            assert ours == _library(tokenizer, whole), (document, question)
    for question in QUESTIONS:
        alone = [{"role": "user", "content": question}]
        assert frame.head + frame.question(question, alone=True) == _library(tokenizer, alone)


@given(document=st.text(min_size=1, max_size=60), question=st.text(min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_the_librarys_ids(document: str, question: str) -> None:
    document, question = f"Text: {document}", f"Why {question.strip()}?"
    if any(control in document + question for control in [*CONTROL, "<unk>"]):
        return
    for kind, frame in FRAMES.items():
        whole = [{"role": "user", "content": f"{document}\n\n{question}"}]
        ours = frame.head + frame.document(document) + frame.question(question)
        assert ours == _library(frame.encoder.tokenizer, whole), kind


FRAMES = {
    kind: Chat(TextEncoder(chat_tokenizer(kind, TEMPLATES["with_system"])))
    for kind in ("gpt2", "cl100k")
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_conversation_is_the_librarys(kind: str, name: str, turns: int) -> None:
    tokenizer = chat_tokenizer(kind, TEMPLATES[name])
    frame = Chat(TextEncoder(tokenizer))
    document, last = DOCUMENTS[0], QUESTIONS[0]
    messages, first = [], f"{document}\n\n"
    for question, answer in TURNS[:turns]:
        messages.append({"role": "user", "content": first + question})
        messages.append({"role": "assistant", "content": answer})
        first = ""
    messages.append({"role": "user", "content": last})
    ours = frame.head + frame.document(document) + frame.conversation(TURNS[:turns], last)
    assert ours == _library(tokenizer, messages)
    assert frame.conversation([], last) == frame.question(last)


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "gemma"])
def test_system_prompt_and_instruction_are_where_the_library_puts_them(name: str) -> None:
    tokenizer = chat_tokenizer("cl100k", TEMPLATES[name])
    if name == "mistral" or name == "plain_words":
        pytest.skip("writes the system prompt as a turn of the assistant")
    frame = Chat(TextEncoder(tokenizer), "Be brief.", "Use the text above.")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{DOCUMENTS[0]}\n\nUse the text above.\n\n{QUESTIONS[0]}"},
    ]
    ours = frame.head + frame.document(DOCUMENTS[0]) + frame.question(QUESTIONS[0])
    assert ours == _library(tokenizer, messages)


def test_leading_white_space_of_a_document_is_dropped() -> None:
    frame = FRAMES["cl100k"]
    assert frame.document("\n\n  text") == frame.document("text")
    assert Plain(frame.encoder, "Q {question}").document("  text") != frame.document("text")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_template_that_changes_the_text_is_refused_and_plain_offered(
    kind: str, name: str
) -> None:
    encoder = TextEncoder(chat_tokenizer(kind, UNUSABLE[name]))
    with pytest.raises(UnsupportedModelError, match="use frame 'plain'"):
        Chat(encoder)


def test_a_template_without_system_prompt_says_so() -> None:
    encoder = TextEncoder(chat_tokenizer("gpt2", GEMMA))
    with pytest.raises(UnsupportedModelError, match=r"no system role.*leave the system prompt out"):
        Chat(encoder, "Be brief.")


def test_the_date_is_the_same_tomorrow() -> None:
    encoder = TextEncoder(chat_tokenizer("gpt2", LLAMA32))
    assert "26 Jul 2024" in encoder.tokenizer.decode(Chat(encoder).head)


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_text_becomes_a_control_token(name: str) -> None:
    frame = Chat(TextEncoder(chat_tokenizer("cl100k", TEMPLATES[name])))
    control = set(frame.encoder.tokenizer.added_tokens_decoder)
    hostile = " ".join(CONTROL)
    assert control.isdisjoint(frame.document(hostile))
    assert control.isdisjoint(frame.continuation(hostile))
    for ids, harmless in (
        (frame.question(hostile), frame.question("What?")),
        (
            frame.conversation([(hostile, hostile)], hostile),
            frame.conversation([("What?", "This")], "Who?"),
        ),
    ):
        assert [i for i in ids if i in control] == [i for i in harmless if i in control]


@pytest.mark.parametrize(
    ("name", "end"),
    [("chatml", "<|im_end|>"), ("llama3", "<|eot_id|>"), ("gemma", "<end_of_turn>")],
)
def test_an_answer_ends_with_the_end_of_the_turn(name: str, end: str) -> None:
    encoder = TextEncoder(chat_tokenizer("gpt2", TEMPLATES[name]))
    frame = Chat(encoder)
    [first] = encoder.encode_frame(end)
    assert frame.end_ids == (first, encoder.eos_id)
    assert frame.answer("At nine.") == [*frame.continuation("At nine."), first]


def test_auto_is_chat_where_there_is_a_template() -> None:
    chatty = TextEncoder(chat_tokenizer("gpt2", CHATML))
    mute = TextEncoder(chat_tokenizer("gpt2", None))
    assert frame_of(chatty, GistSpec()).name == "chat"
    assert frame_of(mute, GistSpec()).name == "plain"
    assert frame_of(chatty, GistSpec(frame="plain")).name == "plain"
    with pytest.raises(UnsupportedModelError, match="no chat template; use frame 'plain'"):
        frame_of(mute, GistSpec(frame="chat"))
    with pytest.raises(BadInputError, match="no system or instruction"):
        frame_of(mute, GistSpec(system="Be brief.", instruction="Now:"))


def test_the_plain_frame_has_the_start_token_once() -> None:
    frame = Plain(TextEncoder(chat_tokenizer("gpt2", None)), "\n\nQ: {question}\nA:")
    assert frame.head == frame.encoder.start_ids
    assert frame.document("x") == frame.encoder.encode("x")
