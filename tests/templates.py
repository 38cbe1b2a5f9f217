"""Chat templates and tokenizers of the kinds that models bring, in short."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITH_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind.<|im_end|>\n{% endif %}"
    + CHATML
)
"""Writes a system prompt where none is given (SmolLM2, Qwen2.5)."""
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
"""Writes the start token and trims."""
TODAY = "{{ strftime_now('%d %b %Y') }}"
LLAMA32 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday Date: "
    + TODAY
    + "\n\n<|eot_id|>"
    + LLAMA3.removeprefix("{{ bos_token }}")
)
"""Names the date."""
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""Has no system prompt."""
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
"""Has a space inside the user's turn and no header of the assistant's."""
PLAIN_WORDS = (
    "{% for m in messages %}{{ 'USER' if m.role == 'user' else 'ASSISTANT' }}: {{ m.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Has no control tokens at all (Vicuna)."""
QWEN3 = (
    CHATML + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)
"""Reasons before it answers, unless told not to."""

TEMPLATES = {
    "chatml": CHATML,
    "with_system": WITH_SYSTEM,
    "llama3": LLAMA3,
    "llama3.2": LLAMA32,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "plain_words": PLAIN_WORDS,
    "qwen3": QWEN3,
}

UPPER = CHATML.replace("{{ m.content }}", "{{ m.content | upper }}")
TWICE = CHATML.replace("{{ m.content }}", "{{ m.content }} {{ m.content }}")
FIRST_LINE = CHATML.replace("{{ m.content }}", "{{ m.content.split('\\n')[0] }}")
UNUSABLE = {"upper": UPPER, "twice": TWICE, "first_line": FIRST_LINE}
"""Templates that rewrite, repeat or shorten the user's text."""

CONTROL = (
    "<s> </s> <|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> "
    "<start_of_turn> <end_of_turn> [INST] [/INST] <think> </think>"
).split()
_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 and Qwen cut text: punctuation takes the line breaks after it."""
_LINES = [
    "The harbour office opens at nine.\n\nThe passkey is 60479. What is the passkey?\n",
    "system You are kind. Today Date: user assistant model USER: ASSISTANT:\n\n",
    "나루터 안내소는 열 시에 문을 엽니다.\n몇 시에 엽니까?\n\n",
] * 4


def _byte_level(pattern: str | None, *, prefix: bool = False) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)
    backend.pre_tokenizer = level
    if pattern is not None:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    backend.decoder = decoders.ByteLevel()
    return backend


def _metaspace(scheme: str) -> Tokenizer:
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return backend


def _unigram(scheme: str, *, fallback: bool) -> Tokenizer:
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    parts = [decoders.ByteFallback()] if fallback else []
    backend.decoder = decoders.Sequence([*parts, decoders.Metaspace()])
    return backend


def _normalized(*parts: normalizers.Normalizer) -> Tokenizer:
    """Llama 2 and Gemma: spaces are replaced before anything is cut."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    space = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([*parts, space])
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # else all is one word
    replace, strip = decoders.Replace("▁", " "), [decoders.Strip(" ", 1, 0)] * len(parts)
    backend.decoder = decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse(), *strip])
    return backend


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": lambda: _byte_level(None),
    "cl100k": lambda: _byte_level(_CL100K),
    "metaspace_first": lambda: _metaspace("first"),
    "metaspace_always": lambda: _metaspace("always"),
}
"""How tokenizers cut text: GPT-2, Llama 3 and Qwen, Mistral, Llama 2."""
MORE_KINDS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2_prefix": lambda: _byte_level(None, prefix=True),
    "metaspace_never": lambda: _metaspace("never"),
    "unigram_first": lambda: _unigram("first", fallback=True),
    "unigram_always": lambda: _unigram("always", fallback=True),
    "unigram_unknown": lambda: _unigram("always", fallback=False),
    "prepend": lambda: _normalized(normalizers.Prepend("▁")),
    "replace": lambda: _normalized(),
}
"""Further ones: with a space in front of every text, without byte fallback, SentencePiece as older
and newer conversions have it."""


def chat_tokenizer(kind: str, template: str | None) -> PreTrainedTokenizerFast:
    """Train a small tokenizer that knows every control token of the templates here."""
    backend = {**KINDS, **MORE_KINDS}[kind]()
    byte_level = "gpt2" in kind or kind == "cl100k"
    bytes_ = [] if byte_level else [f"<0x{value:02X}>" for value in range(256)]
    special = ["<unk>", *CONTROL, *bytes_]
    options: dict[str, Any] = {"vocab_size": 900, "show_progress": False}
    # A line break is a byte of its own to SentencePiece.
    lines = _LINES if byte_level else [line.replace("\n", " ") for line in _LINES]
    if "unigram" in kind:
        letters = sorted({chr(code) for code in range(33, 127)} | set("".join(lines)))
        options |= {"vocab_size": 600, "unk_token": "<unk>", "initial_alphabet": letters}
        trainer: Any = trainers.UnigramTrainer(special_tokens=special, **options)
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
        trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, **options)
    backend.train_from_iterator(lines, trainer)
    if bytes_:  # not tokens that text is searched for, only what unknown characters become
        state = json.loads(backend.to_str())
        state["added_tokens"] = [
            token for token in state["added_tokens"] if token["content"] not in bytes_
        ]
        if "unigram" in kind:
            state["model"]["byte_fallback"] = kind != "unigram_unknown"
        backend = Tokenizer.from_str(json.dumps(state))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = template
    return tokenizer
