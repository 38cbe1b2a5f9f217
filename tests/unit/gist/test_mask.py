"""The attention mask of random layouts: each property says what one kind of token may see."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dnsity.gist.layout import Layout, Segment, split_evenly
from dnsity.gist.mask import gist_sees_document, visible
from gist_strategies import layouts


def blocks(layout: Layout) -> list[tuple[Segment, Segment, Tensor]]:
    """Cut the mask into (query segment, key segment, cells)."""
    seen = visible(layout)
    segments = layout.segments()
    return [
        (query, key, seen[query.start : query.stop, key.start : key.stop])
        for query in segments
        for key in segments
    ]


@given(layouts())
def test_no_question_sees_a_document(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind == "question" and key.kind == "document":
            assert not cells.any()


@given(layouts())
def test_every_question_sees_all_gists(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind == "question" and key.kind == "gist":
            assert cells.all()


@given(layouts())
def test_no_question_sees_another_and_nothing_else_sees_a_question(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if key.kind == "question" and query is not key:
            assert not cells.any()


@given(layouts())
def test_mask_is_causal_and_every_token_sees_itself(layout: Layout) -> None:
    seen = visible(layout)
    assert not seen.triu(1).any()
    assert seen.diagonal().all()


@given(layouts())
def test_every_segment_is_plainly_causal_inside(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query is key:
            assert torch.equal(cells, torch.ones_like(cells).tril())


@given(layouts())
def test_no_document_sees_its_own_gists(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind == "document" and key.kind == "gist" and query.index == key.index:
            assert not cells.any()


@given(layouts())
def test_no_chunk_sees_the_document_of_another(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind != "question" and key.kind == "document" and query.index != key.index:
            assert not cells.any()


@given(layouts(chunking="independent"))
def test_independent_chunks_see_nothing_of_each_other(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if "question" not in (query.kind, key.kind) and query.index != key.index:
            assert not cells.any()


@given(layouts(chunking="carry"))
def test_carry_shows_all_earlier_gists_and_no_later_ones(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind != "question" and key.kind == "gist" and query.index != key.index:
            assert bool(cells.all()) == bool(cells.any()) == (key.index < query.index)


@given(layouts(placement="append"))
def test_append_lets_every_gist_read_its_whole_chunk(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind == "gist" and key.kind == "document" and query.index == key.index:
            assert cells.all()


@given(layouts(placement="spread"))
def test_spread_gives_every_document_token_to_one_gist(layout: Layout) -> None:
    for query, key, cells in blocks(layout):
        if query.kind == "gist" and key.kind == "document" and query.index == key.index:
            assert (cells.sum(dim=0) == 1).all()
            reader = cells.int().argmax(dim=0)  # which gist reads each token
            assert (reader.diff() >= 0).all(), "spans are not in the order of the gists"
            read = cells.sum(dim=1)
            assert read.max() - read.min() <= 1, "spans are not of equal length"
            assert key.length < layout.gists or read.min() >= 1, "a gist reads nothing"


@given(st.integers(1, 8), st.integers(1, 40))
def test_spread_hides_nothing_from_the_last_gist_that_earlier_ones_pass_on(
    gists: int, tokens: int
) -> None:
    """Through earlier gists the last one reaches the whole document."""
    spans = gist_sees_document(gists, torch.ones(1, tokens, dtype=torch.bool), "spread")[0]
    reached = spans.any(dim=0)
    assert reached.all()


@given(st.integers(1, 8), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_a_padded_batch_is_its_rows_each_cut_into_even_spans(
    gists: int, lengths: list[int]
) -> None:
    longest = max(lengths)
    real = torch.stack([torch.arange(longest) >= longest - length for length in lengths])
    for placement in ("append", "spread"):
        seen = gist_sees_document(gists, real, placement)  # type: ignore[arg-type]
        for row, length in enumerate(lengths):
            spans = split_evenly(length, gists) if placement == "spread" else [(0, length)] * gists
            for gist, (start, stop) in enumerate(spans):
                expected = [longest - length + place for place in range(start, stop)]
                assert seen[row, gist].nonzero()[:, 0].tolist() == expected
