"""The attention mask as text, for documentation and golden tests."""

from __future__ import annotations

from dnsity.gist.layout import Layout
from dnsity.gist.mask import visible

_LETTER = {"head": "h", "document": "d", "gist": "G", "question": "q"}


def picture(layout: Layout) -> str:
    """Format the mask of a layout; `x` means that the row's token sees the column's token."""
    names: list[str] = []
    count = dict.fromkeys(_LETTER, 0)
    for segment in layout.segments():
        for _ in range(segment.length):
            count[segment.kind] += 1
            names.append(f"{_LETTER[segment.kind]}{count[segment.kind]}")
    width = max(map(len, names))
    lines = [" " * width + "".join(f" {name:>{width}}" for name in names)]
    for name, row in zip(names, visible(layout).tolist(), strict=True):
        lines.append(
            f"{name:<{width}}" + "".join(f" {'x' if cell else '.':>{width}}" for cell in row)
        )
    return "\n".join(lines)
