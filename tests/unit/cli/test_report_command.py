"""`dnsity report`: where it writes, and what it says."""

from __future__ import annotations

from pathlib import Path

from evaluated import answered, record, write_run
from running import Run


def _run(directory: Path) -> Path:
    return write_run(directory, [record("gist", answered(1.0)), record("none", answered(0.0))])


def test_report_stands_inside_the_first_run(tmp_path: Path, run: Run) -> None:
    one, other = _run(tmp_path / "one"), _run(tmp_path / "other")
    done = run("report", one, other)
    assert done.code == 0, done.err
    assert (one / "report" / "report.md").exists()
    assert not (other / "report").exists()
    assert str(one / "report" / "report.md") in done.out


def test_json_names_every_file(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "out"
    found = run("report", _run(tmp_path / "one"), "--output-dir", out, "--json").json
    assert found["report"] == str(out / "report.md")
    assert found["data"] == str(out / "report.json")
    assert {found["report"], found["data"], *found["pictures"]} == set(map(str, out.iterdir()))


def test_unfinished_run_is_refused(tmp_path: Path, run: Run) -> None:
    directory = _run(tmp_path / "one")
    (directory / "summary.json").unlink()
    done = run("report", directory)
    assert (done.code, done.out) == (2, "")
    assert "has no summary.json: the run is not finished; run it again to resume" in done.err
    assert not (directory / "report").exists()
