"""Peak memory counts what was allocated since, and nothing from before."""

from __future__ import annotations

import sys

import pytest
import torch

from dnsity.evaluation.memory import Peak

CPU = torch.device("cpu")
MEGABYTE = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and resets the peak")
def test_it_sees_what_was_taken_and_given_back_and_not_what_was_there() -> None:
    there = torch.ones(100 * MEGABYTE, dtype=torch.uint8)
    torch.ones(200 * MEGABYTE, dtype=torch.uint8)  # taken and freed before
    peak = Peak(CPU)
    assert peak.bytes() < 20 * MEGABYTE
    torch.ones(60 * MEGABYTE, dtype=torch.uint8)
    assert 50 * MEGABYTE < peak.bytes() < 90 * MEGABYTE
    assert there.sum() == 100 * MEGABYTE
