"""Segments must tile the tokens, positions must be those of the stored cache, cuts lose nothing."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dnsity.errors import BadInputError
from dnsity.gist.layout import Layout, chunks_of, gists_each, split_evenly
from dnsity.gist.spec import GistSpec
from gist_strategies import layouts


def test_the_example_of_the_module_holds() -> None:
    layout = Layout(chunks=(3, 3), gists=2, questions=(2,))
    assert layout.positions() == [-3, -2, -1, 0, 1, -1, 0, 1, 2, 3, 4, 5]


@given(layouts())
def test_segments_tile_the_tokens_in_order(layout: Layout) -> None:
    segments = layout.segments()
    assert segments[0].start == 0
    assert all(left.stop == right.start for left, right in pairwise(segments))
    kinds = [(s.kind, s.index) for s in segments]
    chunks = range(len(layout.chunks))
    assert kinds == [
        *((kind, j) for j in chunks for kind in ("document", "gist")),
        *(("question", j) for j in range(len(layout.questions))),
    ]
    lengths = {kind: [s.length for s in segments if s.kind == kind] for kind, _ in kinds}
    assert lengths["document"] == list(layout.chunks)
    assert lengths["gist"] == [layout.gists] * len(layout.chunks)
    assert lengths.get("question", []) == list(layout.questions)


@given(layouts())
def test_gists_are_an_ordinary_prefix_at_zero(layout: Layout) -> None:
    positions = layout.positions()
    gists = [p for s in layout.segments() if s.kind == "gist" for p in positions[s.start : s.stop]]
    assert gists == list(range(layout.total_gists))


@given(layouts())
def test_every_question_starts_right_after_the_last_gist(layout: Layout) -> None:
    positions = layout.positions()
    for segment in layout.segments():
        if segment.kind == "question":
            first = layout.total_gists
            assert positions[segment.start : segment.stop] == list(
                range(first, first + segment.length)
            )


@given(layouts())
def test_every_chunk_ends_right_before_its_gists(layout: Layout) -> None:
    positions = layout.positions()
    segments = layout.segments()
    for document, gists in zip(segments[::2], segments[1::2], strict=False):
        if document.kind != "document":
            break
        own = positions[document.start : document.stop]
        assert own == list(range(own[0], own[0] + document.length))
        assert own[-1] + 1 == positions[gists.start]


@pytest.mark.parametrize(
    "counts",
    [
        {"chunks": (), "gists": 2},
        {"chunks": (3, 0), "gists": 2},
        {"chunks": (-1,), "gists": 2},
        {"chunks": (3,), "gists": 0},
        {"chunks": (3,), "gists": 2, "questions": (4, 0)},
    ],
)
def test_empty_parts_are_refused_with_the_layout_shown(counts: dict[str, object]) -> None:
    with pytest.raises(
        BadInputError, match=r"every chunk, gist group and question.*Layout\(chunks="
    ):
        Layout(**counts)  # type: ignore[arg-type]


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_even_spans_lose_nothing_and_differ_by_one_at_most(tokens: int, number: int) -> None:
    spans = split_evenly(tokens, number)
    assert len(spans) == number
    assert spans[0][0] == 0
    assert spans[-1][1] == tokens
    assert all(left[1] == right[0] for left, right in pairwise(spans))
    lengths = [stop - start for start, stop in spans]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 10_000), st.integers(1, 3000))
def test_chunks_fit_a_pass_and_are_as_few_as_can_be(tokens: int, window: int) -> None:
    for spec in (
        GistSpec(window_tokens=window),
        GistSpec(window_tokens=4 * window, chunk_tokens=window),
    ):
        chunks = chunks_of(tokens, spec)
        assert all(0 < stop - start <= window for start, stop in split_evenly(tokens, chunks))
        assert (chunks - 1) * window < tokens


@given(st.integers(1, 100_000), st.integers(1, 500), st.integers(1, 5), st.integers(0, 20))
def test_the_chunks_of_a_window_share_its_gists(
    tokens: int, chunk: int, per_window: int, spare: int
) -> None:
    gists = per_window + spare
    spec = GistSpec(gists=gists, window_tokens=chunk * per_window, chunk_tokens=chunk)
    windows, chunks = -(-tokens // spec.window_tokens), chunks_of(tokens, spec)
    slots = chunks * gists_each(chunks, spec)
    assert windows * gists - chunks < slots <= windows * gists  # what cannot be shared is left
    assert 1 <= gists_each(chunks, spec) <= gists
    whole = GistSpec(gists=gists, window_tokens=chunk * per_window)
    assert gists_each(chunks_of(tokens, whole), whole) == gists
    assert gists_each(chunks, spec, gists=1) == 1


def test_a_layout_may_be_a_key_and_cannot_be_changed() -> None:
    """It is counted once and used for masks, positions and pictures: all must be of one layout."""
    layout = Layout(chunks=(3,), gists=2)
    for frozen, field in ((layout, "gists"), (layout.segments()[0], "start")):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, field, 7)
    assert len({layout, Layout(chunks=(3,), gists=2)}) == 1


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("gists", 1, 0),
        ("gists", 4096, 4097),
        ("window_tokens", 1, 0),
        ("chunk_tokens", 1, 0),
        ("question_template", "{question}", "{question} {question}"),
        ("question_template", "Q: {question}", "Q:"),
    ],
)
def test_a_spec_takes_what_can_be_trained(field: str, allowed: object, refused: object) -> None:
    rest = {"gists": 4096, "window_tokens": 4096} | {field: allowed}
    assert getattr(GistSpec(**rest), field) == allowed
    with pytest.raises(ValidationError, match=field):
        GistSpec(**rest | {field: refused})


def test_a_window_of_as_many_chunks_as_gists_is_taken() -> None:
    spec = GistSpec(gists=10, window_tokens=100, chunk_tokens=10)
    assert gists_each(chunks_of(100, spec), spec) == 1


def test_what_nobody_sets_is_the_plan_of_25_gists_for_2048_tokens() -> None:
    spec = GistSpec()
    assert (spec.gists, spec.window_tokens, spec.chunk_tokens) == (25, 2048, None)


@pytest.mark.parametrize(
    ("window", "chunk", "gists"), [(100, 30, 25), (100, 200, 25), (100, 10, 9)]
)
def test_chunks_that_cannot_share_a_window_are_refused(window: int, chunk: int, gists: int) -> None:
    with pytest.raises(ValidationError, match="must be a multiple of chunk_tokens"):
        GistSpec(gists=gists, window_tokens=window, chunk_tokens=chunk)
