"""Promises on trial: every test counts the cases it tries, and a table at the end tells them.

`--trust-long` (`make test-trust`) tries far more of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

import forked
from dnsity.inference.gist_model import GistModel
from running import Done
from tiny import save, tiny_gist_model
from tried import Row, Tried

_ledger = pytest.StashKey[dict[str, Row]]()


def _row(item: pytest.Item) -> Row:
    """Find the row of a test: its module names the promise."""
    promise: str = item.getparent(pytest.Module).obj.PROMISE  # type: ignore[union-attr]
    return item.config.stash.setdefault(_ledger, {}).setdefault(promise, Row())


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Tried:
    return Tried(_row(request.node), bool(request.config.getoption("trust_long")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note failures and time of every test below this directory."""
    report = yield
    row = _row(item)
    row.failures += report.failed
    row.seconds += report.duration
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    ledger = terminalreporter.config.stash.get(_ledger, {})
    if not ledger:
        return
    terminalreporter.section("promises")
    terminalreporter.line(f"{'promise':16} {'cases tried':>12} {'failures':>9} {'seconds':>8}")
    total = Row()
    for promise, row in ledger.items():
        _line(terminalreporter, promise, row)
        total.cases += row.cases
        total.failures += row.failures
        total.seconds += row.seconds
    _line(terminalreporter, "all", total)


def _line(reporter: pytest.TerminalReporter, promise: str, row: Row) -> None:
    reporter.line(f"{promise:16} {row.cases:12,} {row.failures:9} {row.seconds:8.0f}")


# What the tests try things on


@pytest.fixture(scope="session")
def model() -> GistModel:
    """A tiny model in memory; nobody may change it."""
    return tiny_gist_model()


@pytest.fixture(scope="session")
def model_directory(model: GistModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("trusted") / "model")


@pytest.fixture
def dnsity(tmp_path: Path) -> Callable[..., Done]:
    """Run `dnsity ARGUMENTS` in a process of its own, to its end."""
    return lambda *arguments, **more: forked.start(tmp_path, *arguments, **more).wait()


@pytest.fixture
def measured() -> Callable[[Callable[[], object]], float]:
    """Measure the seconds of processor time a call takes; a busy machine does not count."""

    def measure(call: Callable[[], object]) -> float:
        before = time.process_time()
        call()
        return time.process_time() - before

    return measure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Linux (signals, /proc) elsewhere."""
    if sys.platform != "linux":
        for item in items:
            if "trust" in Path(item.path).parts:
                item.add_marker(pytest.mark.skip(reason="written for Linux"))
