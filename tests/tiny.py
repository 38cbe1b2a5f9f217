"""A whole gist model in miniature: tokenizer and random weights, in memory or as a directory.

The tokenizer has every kind of added token that text could be mistaken for: an end token, control
tokens of a chat (special), and a tool marker that is *not* marked special.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import tiny_base, tiny_gist_lm
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model import checkpoint
from dnsity.model.gist_lm import GistLM

END = "<|end|>"
CHAT = ("<|im_start|>", "<|im_end|>")
TOOL = "<tool>"
WINDOW, GISTS, POSITIONS = 64, 4, 512
LONGEST_DOCUMENT = POSITIONS // 2 // GISTS * WINDOW
"""Tokens after which the gists alone would fill half of the tiny model's positions."""

CARD = "# A tiny random model, for tests\n"
DOCUMENT = (
    "The harbour office opens at nine. The passkey for the visitors' network is 60479. "
    "나루터 안내소는 열 시에 문을 엽니다. "
)
"""Fits one window (see `test_ask`)."""
QUESTIONS = ("What is the passkey?", "When does the harbour office open, please?", "몇 시에 엽니까?")

_LINES = [
    "The harbour office opens at nine in the morning.",
    "The passkey for the visitors' network is 60479. What is the passkey?",
    "When does the office open, please? Q: and A: stand before question and answer.",
    "나루터 안내소는 열 시에 문을 엽니다. 몇 시에 엽니까?",
] * 4


def tiny_tokenizer(more: str = "") -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on a few lines; `more` is one further line, for another tokenizer."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        [*_LINES, more],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=[END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=END)
    tokenizer.add_special_tokens({"additional_special_tokens": list(CHAT)})
    tokenizer.add_tokens([AddedToken(TOOL, special=False)])
    return tokenizer


def added_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """Return the ids that no text may ever become."""
    return set(tokenizer.get_added_vocab().values())


