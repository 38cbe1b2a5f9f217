"""Plots show the given figures with legible labels, and change no global state."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from dnsity.evaluation.finished_runs import Entry
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.record import Record
from dnsity.evaluation.summary import summarise
from evaluated import answered, record

matplotlib = pytest.importorskip("matplotlib")
from dnsity.evaluation import figures, plots  # noqa: E402 - they need matplotlib

KOREAN = find_spec("koreanize_matplotlib") is not None


def _entry(records: Sequence[Record], label: str = "mini", guess: float | None = None) -> Entry:
    rows = summarise(records, {record.task: guess for record in records})
    return Entry(label, "mini", rows, list(records))


def _needles(task: str = "niah_en") -> list[Record]:
    """Three documents for each of two lengths, two depths and two methods; one place is empty."""
    right = {(512, 0.0): (1, 1, 0), (512, 1.0): (0, 0, 1), (2048, 0.0): (1, 1, 1)}
    return [
        record(
            method,
            answered(float(score)),
            task=task,
            item=f"{tokens} {depth} {number}",
            labels={"tokens": tokens, "depth": depth},
        )
        for method in ("gist", "rag")
        for (tokens, depth), scores in right.items()
        for number, score in enumerate(scores)
    ]


def test_cells_of_the_heatmap_are_mean_scores() -> None:
    made = plots.needles(_entry(_needles()), "niah_en")
    gist, rag, bar = made.axes
    assert gist.get_title() == "gist: 67%"
    assert rag.get_title() == "RAG top-3: 67%"
    shades = np.ma.filled(gist.collections[0].get_array(), np.nan)
    np.testing.assert_allclose(shades, [[2 / 3, 1], [1 / 3, np.nan]])
    written = {text.get_position(): text.get_text() for text in gist.texts}
    assert written == {(0.5, 0.5): "67", (1.5, 0.5): "100", (0.5, 1.5): "33", (1.5, 1.5): "-"}
    assert [label.get_text() for label in gist.get_xticklabels()] == ["512", "2,048"]
    assert [label.get_text() for label in gist.get_yticklabels()] == ["0%", "100%"]
    assert gist.yaxis_inverted()
    assert bar.get_ylim() == (0, 1)  # one bar for all panels


def test_text_on_shades_contrasts() -> None:
    def luminance(colour: str | tuple[float, ...]) -> float:
        parts = np.array(matplotlib.colors.to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    records = [
        record("gist", answered(n / 20), item=str(n), labels={"tokens": n, "depth": 0.0})
        for n in range(21)
    ]
    [panel, _] = plots.needles(_entry(records), "niah_en").axes
    for text, shade in zip(panel.texts, np.linspace(0, 1, 21), strict=True):
        pair = sorted(map(luminance, (text.get_color(), matplotlib.colormaps["cividis"](shade))))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5  # WCAG 2, level AA


def _compared(slots: int, gist: float) -> list[Record]:
    return [
        record("gist", answered(gist, slots=slots)),
        record("full", answered(0.8, slots=1000)),
        record("rag", answered(0.6, slots=400)),
        record("none", answered(0.2, slots=0)),
    ]


def test_quality_is_plotted_at_the_ratio_and_entries_are_joined() -> None:
    entries = [_entry(_compared(10, 0.4), "ten"), _entry(_compared(50, 0.6), "fifty")]
    made = plots.quality(entries)
    [panel] = made.axes
    handles = dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    [gist, *_] = handles["gist"]
    np.testing.assert_allclose(gist.get_xydata(), [[20, 0.6], [100, 0.4]])
    assert [line.get_ydata()[0] for line in panel.lines if line.get_linestyle() == ":"] == [0.2] * 2
    assert list(handles["full context"].get_ydata()) == [0.8, 0.8]
    assert made.get_suptitle().endswith("1: ten, 2: fifty")
    assert {text.get_text() for text in panel.texts} == {"1", "2"}
    shown = [text.get_text() for text in made.legends[0].get_texts()]
    assert shown == ["gist", "full context", "RAG top-3", "no context"]


def test_quality_is_plotted_at_the_seconds_spent_on_a_document() -> None:
    entries = [
        _entry([record("gist", answered(score), ingest_s=seconds)])
        for score, seconds in ((0.6, 60.0), (0.4, 1.0))
    ]
    [panel] = plots.quality(entries, plots.SECONDS).axes
    [[gist, *_]] = [handle for handle, _ in zip(*panel.get_legend_handles_labels(), strict=True)]
    np.testing.assert_allclose(gist.get_xydata(), [[1, 0.4], [60, 0.6]])
    assert panel.get_xlabel() == "seconds before the first question"


def test_methods_differ_without_colour() -> None:
    entry = _entry([record(method, answered(0.5)) for method in METHODS])
    [panel] = plots.quality([entry]).axes
    handles, labels = panel.get_legend_handles_labels()
    series = [handle[0] for handle in handles if isinstance(handle, tuple)]
    assert len(series) == len(METHODS) - 2  # ceiling and floor are lines
    assert len({line.get_marker() for line in series}) == len(series)
    assert set(labels) == {method.heading for method in METHODS.values()}
    bars = plots.costs(entry).axes[0].patches
    assert len({(bar.get_hatch(), bar.get_facecolor()) for bar in bars}) >= len(METHODS) - 1


def test_an_interval_off_its_value_by_rounding_is_plotted() -> None:
    entry = _entry(_compared(25, 0.4))
    entry.rows[0].score.low = entry.rows[0].score.value + 1e-12
    assert plots.quality([entry]).axes


def test_random_guess_is_a_line_of_multiple_choice() -> None:
    made = plots.quality([_entry(_compared(25, 0.4), guess=0.25)])
    assert "random guess" in [text.get_text() for text in made.legends[0].get_texts()]


def test_costs_are_written_at_the_ends_of_the_bars() -> None:
    made = plots.costs(_entry(_compared(10, 0.4)))
    warm, kept, peak = made.axes
    assert [text.get_text() for text in kept.texts] == ["30.7 kB", "3.07 MB", "1.23 MB", "0 B"]
    assert [text.get_text() for text in warm.texts] == ["20 ms"] * 4
    assert [axis.get_xscale() for axis in made.axes] == ["linear", "log", "linear"]
    assert kept.get_xlabel() == "log scale"
    names = [label.get_text() for label in warm.get_yticklabels()]
    assert names == ["gist", "full context", "RAG top-3", "no context"]
    assert peak.texts[0].get_text() == "400 MB"


def test_costs_say_over_how_many_tasks_they_are() -> None:
    records = [*_compared(10, 0.4), record("gist", answered(1.0, slots=20), task="fact_en")]
    names = [x.get_text() for x in plots.costs(_entry(records)).axes[0].get_yticklabels()]
    assert names[:2] == ["gist", "full context (1 of 2 tasks)"]


@pytest.mark.parametrize(
    "name", ["서울_안내문", "price_$5_or_$6", "한" * 200, "文\U0001f600", "a\tb"]
)
def test_any_name_is_plotted_without_a_warning(tmp_path: Path, name: str) -> None:
    entry = _entry(_needles(name), label=name)
    for made in (plots.needles(entry, name), plots.quality([entry]), plots.costs(entry)):
        figures.save(made, tmp_path / "picture")
    assert (tmp_path / "picture.png").stat().st_size


@pytest.mark.skipif(not KOREAN, reason="no font with Korean letters is installed")
def test_korean_is_plotted_in_a_korean_font() -> None:
    assert figures.drawable("서울 안내문") == "서울 안내문"


def test_without_a_korean_font_there_are_question_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_families", lambda: ["DejaVu Sans"])
    figures._letters.cache_clear()
    try:
        made = plots.quality([_entry(_needles("서울"))])
        figures.save(made, tmp_path / "picture")
        assert made.axes[0].get_title() == "??"
    finally:
        figures._letters.cache_clear()


def test_pictures_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    for stem in ("one", "two"):
        figures.save(plots.quality([_entry(_needles())]), tmp_path / stem)
    for kind in ("png", "svg"):
        one, two = ((tmp_path / f"{stem}.{kind}").read_bytes() for stem in ("one", "two"))
        assert one == two
    assert b"<dc:date>" not in one


def test_matplotlibs_settings_stay_as_they_were() -> None:
    with matplotlib.rc_context({"font.size": 33, "text.usetex": True}):  # a user's own style
        before = dict(matplotlib.rcParams)
        made = plots.costs(_entry(_needles()))
        assert dict(matplotlib.rcParams) == before
    assert made.axes[0].texts[0].get_fontsize() < 33
