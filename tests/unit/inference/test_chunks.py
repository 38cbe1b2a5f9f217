"""Documents longer than the window: slots of chunks are those of each chunk alone, moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.errors import BadInputError
from dnsity.inference.methods import remove_state_files
from dnsity.inference.methods.chunks import chunk_spans, join_chunks, slots_per_chunk
from dnsity.inference.methods.refine import Refine
from dnsity.inference.methods.refine import compressor as refine
from dnsity.inference.methods.refine.plan import Speed
from dnsity.inference.methods.select import Select, select_key_values
from dnsity.model.backbone import segment_keys
from support import assert_same_keys
from tiny import LONG_DOCUMENT, QUESTIONS, tiny_base_model

LONG = LONG_DOCUMENT * 4
FAMILIES = ("llama", "qwen3-tied", "gemma3")


@pytest.mark.parametrize("family", FAMILIES)
def test_joined_slots_are_chunks_read_where_they_end_up(family: str) -> None:
    """All keys of each chunk kept: equal to the chunk read alone at its later positions."""
    loaded = tiny_base_model(family).loaded
    ids = loaded.encoder.encode(LONG_DOCUMENT)[:90]
    spans = [(0, 30), (30, 70), (70, 90)]
    parts = [select_key_values(loaded, ids[start:stop], stop - start) for start, stop in spans]
    found = join_chunks(loaded, parts)
    embed = loaded.lm.base.get_input_embeddings()
    for start, stop in spans:
        with torch.no_grad():
            expected = segment_keys(
                loaded.lm.base, embed(torch.tensor([ids[start:stop]])),
                torch.arange(start, stop)[None], None,
            )  # fmt: skip
        here = tuple((k[:, :, start:stop], v[:, :, start:stop]) for k, v in found)
        assert_same_keys(here, expected)
    assert join_chunks(loaded, parts[:1]) is parts[0]


def test_chunks_are_the_fewest_that_fit() -> None:
    loaded = tiny_base_model("llama").loaded
    assert chunk_spans(loaded, 412, 100) == [(0, 412)]
    assert chunk_spans(loaded, 413, 100) == [(0, 206), (206, 413)]
    assert slots_per_chunk(7, [(0, 9), (9, 18)]) == [3, 4]


@pytest.mark.parametrize("family", FAMILIES)
def test_select_takes_a_document_longer_than_the_window(family: str) -> None:
    model = tiny_base_model(family)
    tokens = len(model.loaded.encoder.encode(LONG))
    assert tokens > model.loaded.max_positions
    seen: list[tuple[int, int | None]] = []
    gist = model.compress(
        LONG,
        method=Select(ratio=8, even=True),
        progress=lambda done, total, now="": seen.append((done, total)),
    )
    assert gist.info.n_chunks > 1
    assert gist.info.n_gist == -(-tokens // 8)
    assert seen[-1] == (tokens, tokens)
    assert len(model.ask(gist, QUESTIONS)) == len(QUESTIONS)
    ids = model.loaded.encoder.encode(LONG)
    stop, slots = tokens // gist.info.n_chunks, gist.info.n_gist // gist.info.n_chunks
    first = tuple((k[:, :, :slots], v[:, :, :slots]) for k, v in gist.layers)
    assert_same_keys(first, select_key_values(model.loaded, ids[:stop], slots))


def test_the_default_ratio_leaves_room_for_questions() -> None:
    model = tiny_base_model("llama")
    for text in (LONG_DOCUMENT, LONG):
        gist = model.compress(text, method="select")
        assert gist.info.n_gist == min(-(-gist.info.n_context // 2), 256)
        assert Select().is_current(model.loaded, gist.info)
    older = model.compress(LONG_DOCUMENT, method=Select(ratio=10)).info
    unasked = older.model_copy(update={"settings": Select().model_dump(mode="json")})
    assert not Select().is_current(model.loaded, unasked), "made when the default was 10"
    with pytest.raises(BadInputError, match="can hold 256"):
        model.compress(LONG, method=Select(ratio=1.5))


SHORT: dict[str, Any] = {"every_steps": 2, "rows": 16, "rows_per_step": 4, "gists": 2}


def test_refine_trains_every_chunk_in_its_share(tmp_path: Path) -> None:
    model = tiny_base_model("llama")
    lines: list[str] = []
    state = tmp_path / "state"
    how = Refine(**SHORT, steps=6, state=state)
    gist = model.compress(LONG, method=how, progress=lambda *given: lines.append(given[-1]))
    chunks = gist.info.n_chunks
    assert chunks == len(chunk_spans(model.loaded, gist.info.n_context, 192)) > 1
    said = gist.info.settings
    assert said["steps"] == chunks * -(-6 // chunks)
    assert said["loss_after"] < said["loss_before"]
    assert len(said["plan"]) == chunks
    assert any(line.startswith(f"chunk {chunks} of {chunks}: refining") for line in lines)
    assert Refine(**SHORT, steps=6).is_current(model.loaded, gist.info)
    assert len(model.ask(gist, QUESTIONS)) == len(QUESTIONS)
    assert len(list(tmp_path.iterdir())) == chunks
    again = model.compress(LONG, method=how)
    assert_same_keys(again.layers, gist.layers)
    (tmp_path / "other.state").touch()
    remove_state_files(how)
    assert [path.name for path in tmp_path.iterdir()] == ["other.state"]


def test_a_time_too_short_for_all_chunks_is_refused_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refine, "measure", lambda *_: Speed(0.01, 0.001))
    with pytest.raises(BadInputError, match=r"refine has 0\.1 minutes; .* give --minutes") as error:
        tiny_base_model("llama").compress(LONG, method=Refine(minutes=0.1, gists=2))
    tokens = int(str(error.value).split("preparing ")[1].split()[0].replace(",", ""))
    assert tokens >= 0.9 * len(tiny_base_model("llama").loaded.encoder.encode(LONG))
