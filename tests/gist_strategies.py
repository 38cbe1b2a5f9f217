"""Random layouts for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from dnsity.gist.layout import Layout
from dnsity.gist.spec import Chunking, Placement


def layouts(
    placement: Placement | None = None, chunking: Chunking | None = None
) -> st.SearchStrategy[Layout]:
    """Sample layouts of up to three chunks and three questions; documents may have fewer tokens
    than gists."""
    lengths = st.integers(1, 12)
    return st.builds(
        Layout,
        chunks=st.lists(lengths, min_size=1, max_size=3).map(tuple),
        gists=st.integers(1, 6),
        questions=st.lists(st.integers(1, 4), max_size=3).map(tuple),
        placement=st.sampled_from(("append", "spread") if placement is None else (placement,)),
        chunking=st.sampled_from(("independent", "carry") if chunking is None else (chunking,)),
    )
