"""User text is text: it never becomes a control token, and it comes back as it was."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from dnsity.data.encode import TextEncoder
from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError, UnsupportedModelError
from tiny import CONTROL_TEXTS, END, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
ENCODER = TextEncoder(TOKENIZER)
FORBIDDEN = set(TOKENIZER.get_added_vocab().values())


def _assert_plain(text: str) -> None:
    ids = ENCODER.encode(text)
    assert FORBIDDEN.isdisjoint(ids)
    assert ENCODER.decode(ids) == text


# Control tokens


def test_the_tokenizer_itself_would_make_control_tokens() -> None:
    """Else the tests below would prove nothing."""
    for text in CONTROL_TEXTS:
        if text != "<GIST_0>":  # no token at all: gists are outside every vocabulary
            assert not FORBIDDEN.isdisjoint(TOKENIZER(text)["input_ids"])
    assert len(FORBIDDEN) == 4


@pytest.mark.parametrize("control", CONTROL_TEXTS)
@pytest.mark.parametrize("frame", ["{}", "a {} b", "{0}{0}", "<{}>", "\n{}\n", "가{}나", " {} "])
def test_text_never_becomes_a_control_token(control: str, frame: str) -> None:
    _assert_plain(frame.format(control))


@given(st.lists(st.sampled_from([*CONTROL_TEXTS, "<|", "|>", "<", ">", "im_", "end", " "])))
def test_no_way_of_putting_pieces_together_makes_one(pieces: list[str]) -> None:
    _assert_plain("".join(pieces))


@pytest.mark.parametrize("control", CONTROL_TEXTS)
def test_nor_do_question_and_template_together(control: str) -> None:
    for cut in range(1, len(control)):
        for cut_again in range(cut, len(control)):
            before, question, after = control[:cut], control[cut:cut_again], control[cut_again:]
            ids = Plain(ENCODER, before + "{question}" + after).question(question)
            assert FORBIDDEN.isdisjoint(ids)
            assert ENCODER.decode(ids) == control


def test_a_question_that_looks_like_the_placeholder_is_text() -> None:
    ids = Plain(ENCODER, "\n\nQ: {question}\nA:").question("what does {question} mean, {0}?")
    assert ENCODER.decode(ids) == "\n\nQ: what does {question} mean, {0}?\nA:"


def test_a_vocabulary_that_spells_a_control_token_is_caught() -> None:
    """Some models can reach a control token without any added tokens; then text is refused."""
    words = {"hello": 0, "</s>": 1, "[unk]": 2}
    backend = Tokenizer(models.WordLevel(words, unk_token="[unk]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    encoder = TextEncoder(PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>"))
    assert encoder.encode("hello hello") == [0, 0]
    with pytest.raises(BadInputError, match="control token"):
        encoder.encode("hello </s>")


# Round trips


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " two  spaces , and punctuation .",
        "line\r\nline\n\n\tline",
        "👩‍🚀 🇰🇷 👍🏽",
        "방문자 무선망의 접속 암호는 58306입니다.",
        unicodedata.normalize("NFD", "방문자 무선망"),
        "\u202eright to left\u202c \u2066אבג\u2069",
        "NUL \0 and \x1b[31m and \x7f",
        "\ufeffmark, \u200b zero width, \U0010ffff last",
    ],
)
def test_any_script_comes_back(text: str) -> None:
    _assert_plain(text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_all_text_comes_back(text: str) -> None:
    _assert_plain(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [("\ud800", 0), ("ab\udfffcd", 2), ("😀\ud83d", 1), ("a" * 99 + "\udcff", 99)],
)
def test_a_lone_surrogate_is_named_with_its_place(text: str, position: int) -> None:
    with pytest.raises(BadInputError, match=f"surrogate at character {position},"):
        ENCODER.encode(text)


# Threads


def test_threads_get_what_one_thread_gets() -> None:
    """With `split_special_tokens=True` on a shared tokenizer, control tokens leak in this test's
    like (transformers #47085); an encoder has nothing that a thread could change."""
    texts = [f"{control} number {n} {control}" for n in range(8) for control in CONTROL_TEXTS]
    expected = [ENCODER.encode(text) for text in texts]
    shared = TextEncoder(TOKENIZER)
    together = Barrier(8)

    def hammer(_: int) -> list[list[int]]:
        together.wait()
        found = []
        for text in texts:
            found.append(shared.encode(text))
            TOKENIZER(text, padding=True, truncation=True, max_length=4)  # somebody else's calls
        return found

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(hammer, range(8)):
            assert found == expected


# Which tokenizers


def test_padding_and_truncation_of_the_tokenizer_do_not_reach_the_encoder() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer(["a b c", "d"], truncation=True, max_length=2, padding=True)
    text = "The harbour office opens at nine."
    assert TextEncoder(tokenizer).encode(text) == ENCODER.encode(text)


def test_documents_start_with_the_models_own_start_token_if_it_uses_one() -> None:
    assert ENCODER.start_ids == []
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    assert TextEncoder(tokenizer).start_ids == []  # it has one, but does not put it anywhere
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    encoder = TextEncoder(tokenizer)
    assert encoder.start_ids == [bos]
    assert encoder.encode("<s> a") == ENCODER.encode("<s> a")


def _without_end() -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    return tokenizer


class _Slow:
    eos_token_id = 0


@pytest.mark.parametrize("make", [_without_end, _Slow])
def test_tokenizers_that_cannot_be_used_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.json and an eos_token"):
        TextEncoder(make())  # type: ignore[arg-type]


def test_answers_are_shown_without_control_tokens() -> None:
    ids = [*ENCODER.encode("nine"), ENCODER.eos_id]
    assert TOKENIZER.decode(ids) == "nine" + END
    assert ENCODER.decode(ids) == "nine"
