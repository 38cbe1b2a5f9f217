"""Settings of every test: no network, one thread, no progress bars, no leftover state."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

# Before the first import of huggingface_hub, which reads them once: fail at once, never retry.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from hypothesis import settings

import shapes_checked

shapes_checked.install()  # before the first import of dnsity

# No deadline: a busy machine is slow at times, which is not a failure.
settings.register_profile("dnsity", deadline=None)
settings.load_profile("dnsity")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-trust` that runs the long form of tests/trust."""
    parser.addoption(
        "--trust-long", action="store_true", help="try far more cases in tests/trust (minutes)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Allow one deprecation outside this package: PEFT 0.21.2 uses an old name of transformers 5.23
    (peft/peft_model.py, `getattr(model, "is_gradient_checkpointing", True)`)."""
    config.addinivalue_line(
        "filterwarnings", "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
    )


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Use one thread: with tiny matrices a second one is slower, and sums are less repeatable."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _float32_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the same compute type on every machine, independent of its CPU."""
    from dnsity.inference import hardware

    monkeypatch.setattr(hardware, "cpu_speeds", lambda: hardware.Speeds(1.0, 2.0))


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections except local Unix sockets and in tests marked `network`."""
    if request.node.get_closest_marker("network"):
        return

    def guarded(name: str) -> Any:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: Any) -> Any:
            if self.family != getattr(socket, "AF_UNIX", None):
                self.close()
                raise RuntimeError(f"tests run offline, but something connects to {address!r}")
            return original(self, address)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(name))


@pytest.fixture
def no_grad() -> Iterator[None]:
    """Run a test without gradients, as inference does."""
    with torch.no_grad():
        yield
