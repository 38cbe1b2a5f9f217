"""Text is text: nothing a user writes becomes a control token, and all of it arrives."""

from __future__ import annotations

import random
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from dnsity.data.encode import TextEncoder
from dnsity.data.text.frame import Plain
from dnsity.errors import BadInputError
from dnsity.inference.generate import Sampling
from dnsity.inference.gist_model import GistModel
from tiny import CONTROL_TEXTS, DOCUMENT, END, QUESTIONS, TOOL, tiny_gist_model, tiny_tokenizer
from tried import Tried

PROMISE = "the text"
TOKENIZER = tiny_tokenizer()
ENCODER = TextEncoder(TOKENIZER)
FORBIDDEN = set(TOKENIZER.get_added_vocab().values())
PIECES = [
    *CONTROL_TEXTS, "<", ">", "|", "<|", "|>", "im_", "end", "GIST", "_0", " ", "\n", "\r\n", "\0",
    "\u200b", "\ufeff", "\u202e", "\u2066", "가",
    unicodedata.normalize("NFD", "한글"), "👩‍🚀", "🇰🇷",
    "\U0010ffff", "ﷺ", "e\u0301", "{question}", "{{ messages }}", "\x1b[31m",
]  # fmt: skip


def test_no_mixture_becomes_a_control_token(tried: Tried) -> None:
    rng = random.Random(0)
    for _ in tried.times(short=1_500, long=60_000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 12)))
        ids = ENCODER.encode(text)
        assert FORBIDDEN.isdisjoint(ids), text
        assert ENCODER.decode(ids) == text


def test_no_border_between_segments_makes_one(tried: Tried) -> None:
    """Frame, question and answer are encoded apart, wherever a control token is cut."""
    for control in CONTROL_TEXTS:
        for cut in range(len(control) + 1):
            for again in range(cut, len(control) + 1):
                template = control[:cut] + "{question}" + control[again:]
                if control in (control[:cut], control[again:]):
                    continue  # the whole token in the frame, which is the model's own
                ids = Plain(ENCODER, template).question(control[cut:again])
                assert FORBIDDEN.isdisjoint(ids)
                tried()


def test_joined_they_would_make_one(tried: Tried) -> None:
    """The control: the tokenizer itself, on the joined text, does make control tokens."""
    for control in CONTROL_TEXTS[1:]:
        assert not FORBIDDEN.isdisjoint(TOKENIZER("a " + control + " b")["input_ids"])
        tried()


def _spelling(template: str | None, declared: list[str] | None = None) -> TextEncoder:
    """A vocabulary that spells its added tokens, as sentence-piece models do."""
    pieces = [("<unk>", 0.0), ("</s>", 0.0), (TOOL, 0.0)]
    pieces += [(char, -3.0) for char in sorted(set("</s>" + TOOL + " hello"))]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.Unigram(pieces, unk_id=0)),
        eos_token="</s>",
        chat_template=template,
        chat_control_tokens=declared,
    )
    tokenizer.add_tokens([AddedToken(TOOL, special=False)])
    return TextEncoder(tokenizer)


@pytest.mark.parametrize(
    ("encoder", "refused"),
    [
        (_spelling(None), ["</s>"]),
        (_spelling("{{ messages[0].content }}" + TOOL), ["</s>", TOOL]),
        (_spelling(None, [TOOL]), ["</s>", TOOL]),
    ],
    ids=["special", "written by the template", "declared"],
)
def test_a_vocabulary_that_spells_control_tokens_refuses_them(
    tried: Tried, encoder: TextEncoder, refused: list[str]
) -> None:
    for control in refused:
        for text in (control, f"hello {control}", f"{control}hello"):
            with pytest.raises(BadInputError, match="control token"):
                encoder.encode(text)
            tried()
    assert len(encoder.encode("hello")) == 5


# Threads


def _leaks(encode: Callable[[str], list[int]], texts: list[str], threads: int = 8) -> int:
    """Count control tokens that come out of texts when threads encode them all at once."""
    together = Barrier(threads)

    def hammer(number: int) -> int:
        together.wait()
        shuffled = random.Random(number).sample(texts, len(texts))
        return sum(not FORBIDDEN.isdisjoint(encode(text)) for text in shuffled)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(hammer, range(threads)))


def _texts(count: int) -> list[str]:
    return [f"{'word ' * (n % 7)}{CONTROL_TEXTS[1 + n % 3]} {n}" for n in range(count)]


def _steal(tokenizer: Any, text: str) -> list[int]:
    """Encode protected, as the library offers it, while others on the tokenizer do without."""
    if "9" in text:
        tokenizer("somebody else's call")
    ids: list[int] = tokenizer(text, split_special_tokens=True)["input_ids"]
    return ids


def test_threads_never_get_a_control_token(tried: Tried) -> None:
    shared = TextEncoder(tiny_tokenizer())
    texts = _texts(5_000 if tried.long else 150)
    assert _leaks(shared.encode, texts) == 0
    tried(8 * len(texts))


def test_without_the_protection_threads_do_get_them(tried: Tried) -> None:
    """The control: the same hammer on a tokenizer whose protection is a switch that all share."""
    tokenizer = tiny_tokenizer()
    assert _leaks(lambda text: _steal(tokenizer, text), _texts(40), threads=1) == 0
    for _ in range(50):
        tried()
        if _leaks(lambda text: _steal(tokenizer, text), _texts(200)):
            return
    pytest.fail("no leak in 50 rounds: the hammer is too soft to prove anything")


def test_a_whole_model_may_be_used_by_threads(tried: Tried) -> None:
    """Compressing and asking at once gives each thread what it would have got alone."""
    model = tiny_gist_model()
    documents = [DOCUMENT.replace("60479", str(10_000 + n)) for n in range(8)]
    short = Sampling(max_new_tokens=4)

    def use(text: str) -> tuple[list[int], str]:
        gist = model.compress(text)
        answer = model.ask(gist, QUESTIONS[0], short)
        return [int(t.float().sum() * 1e6) for layer in gist.layers for t in layer], answer.text

    expected = [use(text) for text in documents]
    fresh = tiny_gist_model()
    model = fresh  # nothing is prepared: the first calls come at once
    for _ in tried.times(short=2, long=40):
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(use, documents)) == expected


# Unicode


UNICODE = {
    "decomposed Korean": unicodedata.normalize("NFD", "방문자 무선망의 접속 암호는 60479입니다. ")
    * 4,
    "composed Korean": "방문자 무선망의 접속 암호는 60479입니다. " * 4,
    "emoji": "👩‍🚀🇰🇷👍🏽 " * 9,
    "right to left": "\u202eabc\u202c \u2066אבג\u2069 " * 9,
    "NUL": "a\0b " * 20,
    "line ends": "one\r\ntwo\rthree\nfour\u2028five\x85six " * 6,
    "byte order marks": "\ufeffone \ufeff two \ufeff" * 6,
    "every plane": "".join(chr(c) for c in range(0x20, 0x30000, 997) if not 0xD800 <= c < 0xE000),
    "the last characters": "\uffff\U0010ffff\ufffe " * 9,
}


@pytest.mark.parametrize("case", UNICODE)
def test_any_script_is_compressed_as_it_is(tried: Tried, model: GistModel, case: str) -> None:
    text = UNICODE[case]
    ids = model.loaded.encoder.encode(text)
    assert model.loaded.encoder.decode(ids) == text  # not normalised, nothing dropped
    info = model.compress(text).info
    assert (info.n_context, info.characters) == (len(ids), len(text))
    tried()


def test_surrogates_are_refused_with_their_place(tried: Tried, model: GistModel) -> None:
    rng = random.Random(0)
    for _ in tried.times(short=50, long=1_000):
        place = rng.randrange(len(DOCUMENT))
        text = DOCUMENT[:place] + chr(rng.randrange(0xD800, 0xE000)) + DOCUMENT[place:]
        for refused in (model.compress, ENCODER.encode):
            with pytest.raises(BadInputError, match=f"surrogate at character {place},"):
                refused(text)


@pytest.mark.parametrize("text", ["word " * 200_000, "a" * 2**20, "<" * 2**20, END * 150_000])
def test_a_megabyte_in_one_line_takes_seconds(tried: Tried, text: str) -> None:
    started = time.process_time()
    ids = ENCODER.encode(text)
    assert time.process_time() - started < 20  # measured: 1 to 3; quadratic work would take hours
    assert FORBIDDEN.isdisjoint(ids)
    assert ENCODER.decode(ids) == text
    tried()
