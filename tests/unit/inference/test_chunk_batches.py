"""Number of chunks per forward pass: on a CPU long chunks run alone."""

from __future__ import annotations

import pytest

from dnsity.inference.methods.gist import Gist
from dnsity.model import windows
from dnsity.model.gist_lm import GistLM
from support import assert_same_keys
from tiny import LONG_DOCUMENT, tiny_gist_model


@pytest.mark.parametrize(("most", "rows"), [(10**6, 3), (130, 2), (64, 1), (1, 1)])
def test_passes_hold_so_many_tokens_and_progress_is_told_after_each(
    monkeypatch: pytest.MonkeyPatch, most: int, rows: int
) -> None:
    model = tiny_gist_model()
    expected = model.compress(LONG_DOCUMENT, method=Gist(batch_size=1))
    sizes: list[int] = []
    told: list[tuple[int, int]] = []
    compress = GistLM.compress

    def counted(self: GistLM, ids: object, *given: object, **more: object) -> object:
        sizes.append(ids.shape[0])  # type: ignore[attr-defined]
        return compress(self, ids, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(GistLM, "compress", counted)
    monkeypatch.setattr(windows, "CPU_TOKENS", most)
    found = model.compress(
        LONG_DOCUMENT, method=Gist(batch_size=5), progress=lambda done, n: told.append((done, n))
    )
    assert max(sizes) == rows
    assert len(told) == len(sizes)
    assert told[-1] == (sum(sizes), sum(sizes))
    assert_same_keys(found.layers, expected.layers)
