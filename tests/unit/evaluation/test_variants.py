"""Methods with settings: their names, their effect and their headings in tables."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

from dnsity.config import validated
from dnsity.errors import BadInputError
from dnsity.evaluation import report, tables
from dnsity.evaluation.finished_runs import entries, read
from dnsity.evaluation.method import MethodSettings
from dnsity.evaluation.methods import (
    METHODS,
    among,
    build,
    canonical_names,
    heading,
    is_known,
    ordered,
)
from dnsity.evaluation.plots import costs, quality
from dnsity.evaluation.settings import EvalConfig
from dnsity.evaluation.styles import STYLES, styles_of
from dnsity.evaluation.summary import summarise
from evaluated import answered, record, write_run
from tiny import LONG_DOCUMENT, tiny_gist_model

TASKS = [{"family": "niah", "language": "en"}]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("select", "selected keys"),
        ("select:ratio=2", "selected keys, 2x"),
        ("select:ratio=2.5", "selected keys, 2.5x"),
        ("refine:minutes=1,gists=25", "refined, 1 min, 25 slots"),
        ("refine_from_keys:steps=40", "refined from keys, 40 steps"),
        ("rag:top=5", "RAG top-5"),
        ("rag:top=5,chunk_tokens=64", "RAG top-5, chunks of 64 tokens"),
        ("rag_dense:dense_model=/models/minilm/", "dense RAG top-3, minilm"),
        ("rag_equal_kv:gists=80", "RAG, equal KV, 80 slots"),
        ("truncate:top=1", "truncated, top 1"),
        ("select:gists=60", "selected keys, 60 slots"),
        ("select:even=true", "selected keys, same for every head"),
        ("refine:steps=4,rows=32", "refined, 4 steps, rows 32"),
    ],
)
def test_tables_say_what_a_method_was_told(name: str, shown: str) -> None:
    assert heading(name) == shown


def test_a_method_without_settings_is_called_as_ever() -> None:
    assert {name: heading(name) for name in METHODS} == {
        name: method.heading for name, method in METHODS.items()
    }


def test_a_variant_has_one_name_however_it_is_written() -> None:
    assert canonical_names(["refine: gists=25 , minutes=1.0", "refine:minutes=1,gists=25"]) == [
        "refine:minutes=1,gists=25"
    ]
    assert canonical_names(["select:ratio=2", "select", "select:ratio=2.0"]) == [
        "select:ratio=2",
        "select",
    ]


def test_a_list_that_was_split_at_every_comma_is_put_together() -> None:
    split = "full,refine:minutes=1,gists=25,rag:top=5,chunk_tokens=64,none".split(",")
    assert canonical_names(split) == [
        "full",
        "refine:minutes=1,gists=25",
        "rag:top=5,chunk_tokens=64",
        "none",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("telepathy:ratio=2", "no method 'telepathy'; known are gist"),
        ("select:rate=2", "no setting 'rate'; it takes ratio"),
        ("select:minutes=2", "no setting 'minutes'; it takes ratio"),
        ("full:ratio=2", "no setting 'ratio'; it takes none"),
        ("select:ratio", "'ratio' is no setting; write each once as key=value"),
        ("select:", "'' is no setting"),
        ("select:ratio=", "'ratio=' is no setting"),
        ("select:ratio=2,ratio=4", "'ratio=4' is no setting; write each once"),
        ("select:ratio=much", "ratio: Input should be a valid number"),
        ("select:ratio=0.5", "ratio: Input should be greater than or equal to 1"),
        ("select:ratio=[", "ratio cannot be '['"),
        ("select:ratio=2,gists=8", "give gists=8 or ratio=2"),
        ("gist:gists=0", "gists: Input should be greater than or equal to 1"),
        ("refine:state=x", "no setting 'state'; it takes minutes"),
        ("refine_from_keys:start=gist", "no setting 'start'; it takes minutes"),
        ("gists=25", "no method 'gists=25'"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(name: str, said: str) -> None:
    assert not is_known(name)
    with pytest.raises(BadInputError, match=r"methods.*") as refused:
        validated(EvalConfig, {"tasks": TASKS, "methods": [name]}, "test")
    assert said in str(refused.value)


def test_a_variant_overrides_the_settings_of_the_run_and_no_other_method() -> None:
    loaded = tiny_gist_model().loaded
    run = MethodSettings(ratio=8, top=2)
    plain, wide = build("select", loaded, run), build("select:ratio=2", loaded, run)
    assert (plain.label, wide.label) == ("select", "select:ratio=2")
    assert wide.settings == MethodSettings(ratio=2, top=2)
    assert run.ratio == 8
    slots = [one.ingest(LONG_DOCUMENT).handle.info.n_gist for one in (plain, wide)]
    assert slots[1] == pytest.approx(4 * slots[0], abs=4)
    lead = [build(name, loaded) for name in ("rag_equal_kv", "rag_equal_kv:gists=2")]
    most = [one.ingest(LONG_DOCUMENT).handle[2] for one in lead]
    assert most[0] == 2 * most[1]


def test_settings_of_a_run_reach_every_method_that_has_them() -> None:
    loaded = tiny_gist_model().loaded
    run = MethodSettings(gists=2, rows=32)
    methods = {
        name: METHODS[name].configured(build(name, loaded, run).settings, name)
        for name in ("gist", "gist_untrained", "refine", "refine_from_keys", "select")
    }
    assert {name: method.gists for name, method in methods.items()} == {
        **dict.fromkeys(methods, 2),
        "select": None,  # in total there, per window elsewhere: only its name sets it
    }
    assert (methods["refine"].rows, methods["refine_from_keys"].start) == (32, "select")
    total = build("select:gists=9", loaded, run)
    assert total.ingest(LONG_DOCUMENT).handle.info.n_gist == 9


def test_settings_of_a_run_that_a_method_refuses_are_found_before_it_starts() -> None:
    run = {"tasks": TASKS, "methods": ["select:gists=9"], "method": {"ratio": 2}}
    with pytest.raises(BadInputError, match="method 'select:gists=9': give gists=9 or ratio=2"):
        validated(EvalConfig, run, "test")
    with pytest.raises(BadInputError, match="unknown key, did you mean 'ratio'"):
        validated(EvalConfig, {"tasks": TASKS, "method": {"ratoi": 2}}, "test")


def test_variants_follow_their_method_in_the_order_they_came() -> None:
    names = ["none", "select:ratio=10", "full", "select:ratio=2", "select", "gist"]
    assert ordered(names) == [
        *("gist", "select:ratio=10", "select:ratio=2", "select", "full", "none")
    ]
    rows = summarise([record(name, answered(0.5)) for name in names], {})
    assert [row.method for row in rows] == ordered(names)


def test_a_list_without_settings_names_every_variant() -> None:
    run = ["full", "select:ratio=2", "select:ratio=4", "refine:minutes=1", "refine:minutes=3"]
    assert among(run, ["full", "select", "refine:minutes=3", "none"]) == [
        *("full", "select:ratio=2", "select:ratio=4", "refine:minutes=3")
    ]


def test_reports_show_variants_and_runs_of_before(tmp_path: Path) -> None:
    names = ["full", "select", "select:ratio=2", "refine:minutes=1,gists=25"]
    run = write_run(tmp_path / "new", [record(name, answered(0.5)) for name in names])
    old = write_run(tmp_path / "old", [record(name, answered(0.5)) for name in ("gist", "full")])
    text = report.write([run, old], tmp_path / "out").report.read_text("utf-8")
    assert "- **selected keys, 2x** (`select:ratio=2`): The document's own keys" in text
    for shown in ("refined, 1 min, 25 slots", "selected keys", "selected keys, 2x", "gist"):
        assert f"| {shown} " in text
    (entry,) = entries(read([run]))
    header = tables.glance(entry.rows)[0]
    shown = ["refined, 1 min, 25 slots", "selected keys", "selected keys, 2x", "full context"]
    assert [cell.strip() for cell in header.split("|")[3:7]] == shown


def test_pictures_tell_variants_of_a_method_apart(tmp_path: Path) -> None:
    matplotlib.use("agg")
    names = ["select:ratio=2", "select:ratio=4", "select:ratio=10", "full"]
    styles = styles_of(names)
    assert styles["select:ratio=2"] == STYLES["select"]
    assert styles["full"] == STYLES["full"]
    assert len({look.marker for look in styles.values()}) == len(names)
    run = write_run(tmp_path / "run", [record(name, answered(0.5)) for name in names])
    (entry,) = entries(read([run]))
    labels = [text.get_text() for text in quality([entry]).legends[0].get_texts()]
    assert labels == [heading(name) for name in ordered(names)]
    assert [tick.get_text() for tick in costs(entry).axes[0].get_yticklabels()] == labels
