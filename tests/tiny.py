"""A tiny gist model: tokenizer and random weights, in memory or as a directory.

The tokenizer has every kind of added token that could appear in text: an end token, control tokens
of a chat (special), and a tool marker that is *not* marked special.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dnsity.gist.spec import GistSpec
from dnsity.inference.gist_model import GistModel
from dnsity.inference.loaded import LoadedModel
from dnsity.model import checkpoint
from dnsity.model.gist_lm import GistLM
from support import tiny_base

END = "<|end|>"
CHAT = ("<|im_start|>", "<|im_end|>")
TOOL = "<tool>"
CONTROL_TEXTS = ("<GIST_0>", *CHAT, END, TOOL)
"""Texts that must not become control tokens."""

GISTS, WINDOW, POSITIONS = 4, 64, 512
MOST_TOKENS = POSITIONS // 2 // GISTS * WINDOW
"""The longest document: its gists fill half of the tiny model's positions."""

CARD = "# A tiny random model, for tests\n"
DOCUMENT = "The harbour office opens at nine. The passkey for the network is 60479. "
"""Fits one window."""
LONG_DOCUMENT = "".join(f"Line {number}: the passkey is {number * 7919}. " for number in range(10))
"""Takes several windows."""
QUESTIONS = [
    "What is the passkey?",
    "When does the harbour office open, please?",
    "몇 시에 엽니까?",
]
"""Of different lengths in tokens."""

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
    tokenizer.chat_control_tokens = [TOOL]
    return tokenizer


def tiny_gist_model(seed: int = 0, *, more: str = "", **spec: Any) -> GistModel:
    """Build a gist model of scope `full` in memory; the seed determines the weights.

    Args:
        seed: Random seed of the weights.
        more: See `tiny_tokenizer`.
        spec: Fields of `GistSpec` to change.
    """
    tokenizer = tiny_tokenizer(more)
    base = tiny_base(
        "llama",
        seed=seed,
        vocab_size=400 + len(CHAT) + 1,  # the same for every tokenizer
        max_position_embeddings=POSITIONS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    fields = {"gists": GISTS, "window_tokens": WINDOW, "scope": "full", **spec}
    lm = GistLM(base, GistSpec(**fields)).eval()
    return GistModel(LoadedModel(lm, tokenizer, "tiny", "tiny-base"))


def tiny_base_model(family: str, seed: int = 0, **overrides: Any) -> GistModel:
    """Build a base model without trained gists in memory, as `from_base` returns.

    Args:
        family: See `support.FAMILIES`.
        seed: Random seed of the weights.
        overrides: Fields of the base's config to change.
    """
    tokenizer = tiny_tokenizer()
    shape = {
        "vocab_size": 400 + len(CHAT) + 1,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    base = tiny_base(family, seed=seed, **{**shape, **overrides})
    spec = GistSpec(gists=GISTS, window_tokens=WINDOW, scope="full")
    lm = GistLM(base, spec).eval()
    return GistModel(LoadedModel(lm, tokenizer, "tiny-base", "tiny-base", trained=False))


def save(model: GistModel, directory: Path) -> Path:
    """Save a model to a directory that `--model` accepts."""
    loaded = model.loaded
    checkpoint.save(loaded.lm, loaded.tokenizer, directory, base_name="tiny-base", card=CARD)
    return directory


def added_ids(model: GistModel) -> set[int]:
    """Return the ids of all added tokens, which no text may become."""
    return set(model.loaded.tokenizer.get_added_vocab().values())
