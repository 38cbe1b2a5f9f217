"""Segments joined as ids are the library's ids of the joined text, but for tokens across a border.

Document, template, question and answer are encoded apart, so that nothing a user writes reaches
over a border. A token of the library that covers a border is therefore cut there. Which borders
that concerns is listed, tokenizer by tokenizer; all other ids must be equal.
"""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast

from dnsity.data.encode import TextEncoder, control_ids
from dnsity.data.text.frame import Chat, Plain
from dnsity.data.text.pipelines import Place
from dnsity.errors import BadInputError
from templates import CHATML, CONTROL, KINDS, MORE_KINDS, TEMPLATES, chat_tokenizer

ALL_KINDS = [*KINDS, *MORE_KINDS]
TEXT_TEMPLATE = "\n\nQ: {question}\nA:"
ASKING = [
    TEXT_TEMPLATE,
    "\n\nQuestion:{question} Answer:",
    "{question}",
    " [{question}]",
]
DOCUMENTS = ["The harbour office opens at nine.", "60479 is the passkey", "나루터 안내소는 열 시에"]
QUESTIONS = ["What is the passkey?", " When?", "몇 시에 엽니까?", "Is it open?"]
ANSWERS = [" nine", " 열 시"]

WORD, WORDS = {("lead", " ", "W")}, {("lead", " ", "W"), ("lead", " ", "몇")}
"""A space and the word after it are one token, and in the first template the space is before it."""
CUT: dict[str, set[tuple[str, str, str]]] = {
    "gpt2": WORD,
    "gpt2_prefix": WORD,
    # Llama 3 and Qwen: punctuation takes the line breaks after it.
    "cl100k": WORD | {("document", ".", "\n"), ("question", "?", "\n")},
    "metaspace_first": WORDS,
    "metaspace_always": WORDS,
    "metaspace_never": WORDS,
    "prepend": WORDS,
    "replace": WORDS,
    "unigram_first": set(),
    "unigram_always": set(),
    "unigram_unknown": set(),
}
"""Borders that a token of the library covers, as (segment before, its last character, the next).

Nothing else differs: no space is added, no token left out.
"""


def _segments(
    frame: Plain, template: str, document: str, question: str, answer: str
) -> list[tuple[str, str, list[int]]]:
    before, after = template.split("{question}")
    encoder = frame.encoder
    whole = frame.question(question)
    lead = encoder.encode_frame(before, "text")
    tail = encoder.encode_frame(after, "text")
    assert whole[: len(lead)] == lead
    assert whole[len(whole) - len(tail) :] == tail
    return [
        ("document", document, frame.head + frame.document(document)),
        ("lead", before, lead),
        ("question", question, whole[len(lead) : len(whole) - len(tail)]),
        ("tail", after, tail),
        ("answer", answer, frame.continuation(answer)),
    ]


def _holds(ours: list[int], inside: list[int], cut_start: bool, cut_end: bool) -> bool:
    """Return whether our ids are the library's in a segment, except for tokens cut at its ends."""
    if not cut_start and not cut_end:
        return ours == inside
    if not cut_start:
        return ours[: len(inside)] == inside
    if not cut_end:
        return ours[len(ours) - len(inside) :] == inside
    return any(ours[n : n + len(inside)] == inside for n in range(len(ours) - len(inside) + 1))


def _borders_cut(
    tokenizer: PreTrainedTokenizerFast, segments: list[tuple[str, str, list[int]]]
) -> set[tuple[str, str, str]]:
    """Compare all segments with the joined text; return the borders that a token covers."""
    joined = "".join(text for _, text, _ in segments)
    encoding: Any = tokenizer(joined, return_offsets_mapping=True)
    library = list(zip(encoding["input_ids"], encoding["offset_mapping"], strict=True))
    found, start = set(), 0
    for name, text, ours in segments:
        stop = start + len(text)
        cuts = [
            any(first < border < last for _, (first, last) in library) and 0 < border < len(joined)
            for border in (start, stop)
        ]
        inside = [
            index
            for index, (first, last) in library
            if first >= start
            and last <= stop
            and (last > start or start == first == last == 0)
            and not (first == last == stop)
        ]
        assert _holds(ours, inside, *cuts), (name, text, ours, inside)
        if cuts[1]:
            found.add((name, joined[stop - 1], joined[stop]))
        start = stop
    return found


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_segments_are_the_librarys_ids_of_the_joined_text(kind: str) -> None:
    tokenizer = chat_tokenizer(kind, None)
    found = set()
    for template in ASKING:
        frame = Plain(TextEncoder(tokenizer), template)
        for document in DOCUMENTS:
            for question in QUESTIONS:
                for answer in ANSWERS:
                    segments = _segments(frame, template, document, question, answer)
                    found |= _borders_cut(tokenizer, segments)
    assert found == CUT[kind]


CONTROLS = "<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>model\n"


@pytest.mark.parametrize("template", [CONTROLS, "<start_of_turn>{question}<end_of_turn>"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_nor_do_control_tokens_in_the_template_change_that(kind: str, template: str) -> None:
    tokenizer = chat_tokenizer(kind, None)
    frame = Plain(TextEncoder(tokenizer), template)
    for document in DOCUMENTS:
        for question in ("What is the passkey?", "몇 시에 엽니까?"):
            ours = frame.head + frame.document(document) + frame.question(question)
            if template is CONTROLS:
                ours += frame.continuation("nine")
                question += "<|im_end|>\n<|im_start|>model\nnine"
                joined = document + CONTROLS.split("{question}")[0] + question
            else:
                ours += frame.continuation("nine")
                joined = document + template.format(question=question) + "nine"
            assert ours == tokenizer(joined)["input_ids"], document


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_without_a_document_the_question_begins_the_text(kind: str) -> None:
    tokenizer = chat_tokenizer(kind, None)
    frame = Plain(TextEncoder(tokenizer), "Q:{question} A:")
    ours = frame.head + frame.question(" When is it open?", alone=True)
    assert ours == tokenizer("Q: When is it open? A:")["input_ids"]


# What a tokenizer puts around a text by itself


def _around(kind: str, single: str) -> PreTrainedTokenizerFast:
    tokenizer = chat_tokenizer(kind, None)
    ids = {part: tokenizer.convert_tokens_to_ids(part) for part in single.split() if part != "$A"}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=list(ids.items())
    )
    return tokenizer


@pytest.mark.parametrize("kind", ["gpt2", "metaspace_first", "prepend", "unigram_always"])
@pytest.mark.parametrize(
    ("single", "head"),
    [
        ("$A", []),
        ("<s> $A", ["<s>"]),
        ("<s> $A </s>", ["<s>"]),
        ("$A </s>", []),
        ("[INST] <start_of_turn> $A", ["[INST]", "<start_of_turn>"]),
        ("[INST] <s> $A [/INST] </s>", ["[INST]", "<s>"]),
    ],
)
def test_the_prefix_occurs_once_and_the_suffix_never(
    kind: str, single: str, head: list[str]
) -> None:
    tokenizer = _around(kind, single)
    tokenizer(["a b c", "d"], padding=True, truncation=True, max_length=2)  # left over by others
    frame = Plain(TextEncoder(tokenizer), TEXT_TEMPLATE)
    assert frame.head == tokenizer.convert_tokens_to_ids(head)
    document, question = frame.document("The harbour office."), frame.question("What?")
    assert set(tokenizer.all_special_ids).isdisjoint(document + question)
    whole = tokenizer("The harbour office.", padding=False, truncation=False)["input_ids"]
    assert (frame.head + document) == whole[: len(frame.head + document)]


@pytest.mark.parametrize("single", ["<s> $A", "$A"])
def test_a_start_token_in_the_template_occurs_once_and_first(single: str) -> None:
    encoder = TextEncoder(_around("gpt2", single))
    frame = Plain(encoder, "<s>[INST]{question}[/INST]")
    start, bracket = encoder.tokenizer.convert_tokens_to_ids(["<s>", "[INST]"])
    assert frame.head == [start]
    for ids in (
        frame.question("What?"),
        frame.question("What?", alone=True),
        frame.conversation([("When?", "At nine.")], "What?"),
    ):
        assert ids[0] == bracket
        assert start not in ids


# Added tokens


def _with_words(kind: str, template: str | None = None) -> PreTrainedTokenizerFast:
    """Add tokens as Gemma has them: HTML tags and runs of line breaks, none of them special."""
    tokenizer = chat_tokenizer(kind, template)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|late|>"]})
    words = ("<td>", "</td>", "\n\n", "<b>")
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    return tokenizer


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_added_tokens_that_steer_nothing_are_words(kind: str) -> None:
    tokenizer = _with_words(kind)
    encoder = TextEncoder(tokenizer)
    late = tokenizer.convert_tokens_to_ids("<td>")
    text = "<td>passkey</td> and <td> 60479</td>\n\nThe end<b>"
    ids = encoder.encode(text)
    assert late in ids
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer("The office: " + text, add_special_tokens=False)["input_ids"]
    assert encoder.encode("The office: ") + encoder.encode(text, "text") == whole
    after = encoder.encode("a<b>") + encoder.encode("x</td>y", encoder.place_after("<b>", "text"))
    assert after == tokenizer("a<b>x</td>y")["input_ids"]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_control_tokens_among_them_are_never_made(kind: str) -> None:
    tokenizer = _with_words(kind)
    encoder = TextEncoder(tokenizer)
    control = {*tokenizer.convert_tokens_to_ids([*CONTROL, "<|late|>"])}
    assert control <= control_ids(tokenizer)
    places: tuple[Place, ...] = ("start", "control", "text")
    for place in places:
        hostile = "<td>".join(["a", *CONTROL, "<|late|>", "b"])
        if "unigram" in kind:  # spells them in its vocabulary
            with pytest.raises(BadInputError, match="control token"):
                encoder.encode(hostile, place)
        else:
            assert control.isdisjoint(encoder.encode(hostile, place))


def test_one_that_a_template_writes_or_a_tokenizer_names_steers() -> None:
    words = _with_words("gpt2")
    tag = words.convert_tokens_to_ids("<b>")
    assert tag in TextEncoder(words).encode("<b>")
    assert tag not in TextEncoder(_with_words("gpt2", CHATML + "<b>")).encode("<b>")
    assert tag not in Plain(TextEncoder(words), "<b>{question}").document("<b>")
    words.chat_control_tokens = ["<b>"]
    assert tag not in TextEncoder(words).encode("<b>")


def test_a_line_break_that_is_a_token_ends_no_answer() -> None:
    tokenizer = chat_tokenizer("gpt2", TEMPLATES["plain_words"])
    tokenizer.add_tokens([AddedToken("\n", special=False)])
    assert Chat(TextEncoder(tokenizer)).end_ids == (tokenizer.eos_token_id,)


def test_unknown_characters_are_what_the_library_makes_of_them() -> None:
    tokenizer = chat_tokenizer("unigram_unknown", None)
    tokenizer.unk_token = "<unk>"
    text = "The office ☃ opens"
    ids = TextEncoder(tokenizer).encode(text)
    assert tokenizer.unk_token_id in ids
    assert ids == tokenizer(text)["input_ids"]
    tokenizer.pad_token = "<unk>"  # now it steers
    with pytest.raises(BadInputError, match="control token"):
        TextEncoder(tokenizer).encode(text)


@pytest.mark.parametrize("kind", MORE_KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_chat_frames_of_further_kinds_are_the_librarys(kind: str, name: str) -> None:
    tokenizer = chat_tokenizer(kind, TEMPLATES[name])
    frame = Chat(TextEncoder(tokenizer))
    for document in DOCUMENTS:
        for question in ("What is the passkey?", "몇 시에 엽니까?"):
            ours = frame.head + frame.document(document) + frame.question(question)
            assert ours == frame.ids_of_the_library(document, question)
