"""Quantities as text."""

from __future__ import annotations

import pytest

from dnsity.io import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.percent(0.1234), "12.3%"),
        (units.number(1234.5), "1,234"),
        (units.number(0.012345), "0.0123"),
        (units.data_size(999), "999 B"),
        (units.data_size(12_345_678), "12.3 MB"),
        (units.data_size(2.5e12), "2,500 GB"),
        (units.megabytes(241_400_000), "241 MB"),
        (units.millions(12_345_678), "12.3"),
        (units.millions(7_615_616_512, 0), "7,616"),
        (units.duration(0.25), "250 ms"),
        (units.duration(90), "90 s"),
        (units.hours_and_minutes(10), "1 min"),
        (units.hours_and_minutes(3 * 3600 + 70), "3 h 1 min"),
    ],
)
def test_quantities_are_formatted(text: str, expected: str) -> None:
    assert text == expected
