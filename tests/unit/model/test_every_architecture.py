"""`supported` means that it runs: every architecture of transformers, in miniature."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from transformers import CONFIG_MAPPING, AutoConfig, Gemma2Config, Gemma2ForCausalLM

from dnsity.errors import UnsupportedModelError
from dnsity.gist.spec import GistSpec
from dnsity.model.architectures import UNSUPPORTED_TYPES, judge
from dnsity.model.base import load_base
from dnsity.model.gist_lm import GistLM
from every_architecture import ALLOWED, KINDS, UNBUILT, outcome, table
from support import tiny_base
from tiny import tiny_tokenizer

PAGE = Path(__file__).parents[3] / "docs" / "supported_models.md"
TABLE_VERSION = "5.23"
"""The version of transformers that the table in the guide is of; others know other types."""


REPRESENTATIVE = {
    *"llama qwen2 qwen3 qwen3_moe gemma2 gemma3_text gpt_oss phi3 mistral olmo2".split(),
    *"lfm2 mamba gpt2".split(),
}
"""Types that `make test` tries: dense, experts, sliding windows, sinks, capped scores, refused."""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in REPRESENTATIVE else pytest.mark.exhaustive)
        for kind in KINDS
    ],
)
def test_what_is_supported_equals_the_masked_sequence_and_the_rest_has_a_reason(kind: str) -> None:
    found = outcome(kind)
    assert found.reason
    assert (found.gap is None) == (found.level in ("refused", "not tried"))
    if found.gap is not None:
        assert found.gap <= ALLOWED


@pytest.mark.exhaustive
def test_most_are_tried() -> None:
    tried = [kind for kind in KINDS if outcome(kind).gap is not None]
    assert len(tried) > 60
    assert {"llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "gpt_oss", "phi3"} <= set(tried)


@pytest.mark.parametrize("kind", [kind for kind in UNBUILT if kind in KINDS])
def test_what_is_not_tried_cannot_be_made(kind: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds
        AutoConfig.for_model(kind)


@pytest.mark.parametrize("kind", sorted(UNSUPPORTED_TYPES))
def test_what_a_config_does_not_show_is_refused_by_name(kind: str) -> None:
    if kind not in CONFIG_MAPPING:
        pytest.skip("this version of transformers does not know it")
    config = AutoConfig.for_model(kind)
    assert judge(config).level == "refused"
    assert judge(config).reason.endswith(UNSUPPORTED_TYPES[kind])


def test_what_has_no_sdpa_kernel_is_loaded_with_the_eager_one(tmp_path: Path) -> None:
    """Gemma 2 caps its scores, which the sdpa kernel cannot."""
    config = Gemma2Config(
        vocab_size=401, hidden_size=32, intermediate_size=48, num_hidden_layers=2, head_dim=8,
        num_attention_heads=4, num_key_value_heads=2, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    base, _ = load_base(str(tmp_path))
    assert base.config._attn_implementation == "eager"


def test_a_decoder_of_another_build_is_refused_not_run() -> None:
    """What a later release brings is not in the list."""
    base = tiny_base("llama")
    base.model.layers = base.model.layers[:2]
    with pytest.raises(UnsupportedModelError, match="keeps its layers in a way of its own"):
        GistLM(base, GistSpec(scope="full"))


@pytest.mark.exhaustive
@pytest.mark.skipif(
    not transformers.__version__.startswith(TABLE_VERSION), reason="the table is of another version"
)
def test_the_table_in_the_guide_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), "run scripts/architectures.py"
