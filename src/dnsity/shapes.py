"""The shape legend and the array types of the package.

    B  batch            T  tokens           G  gist tokens      Q  question tokens
    L  layers           K  kv heads         H  attention heads  D  head dim
    S  keys that a query may attend to (prefix + own tokens)

Other axes are spelled out (`hidden`, `vocab`). Masks are (query, key) and say what True means. The
tests check annotations at run time: a letter has one size within a call, `_X` any size, `#B` the
size B or 1.
"""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

TokenIds: TypeAlias = Int[Tensor, "B T"]
PaddingMask: TypeAlias = Bool[Tensor, "B T"]
"""True at real tokens, False at padding."""
PrefixMask: TypeAlias = Bool[Tensor, "B G"]
"""True at real slots of a prefix, False at padding."""
PositionIds: TypeAlias = Int[Tensor, "#B T"]
"""One row for all sequences, or one per sequence."""
Visible: TypeAlias = Bool[Tensor, "#B T S"]
"""True where the query (row) may attend to the key (column)."""
Logits: TypeAlias = Float[Tensor, "B _T vocab"]
"""At every position, or only at the last ones."""
KeyOrValue: TypeAlias = Float[Tensor, "_B _K _G _D"]
"""Segments, layers, keys and values differ in size, so only the axes are checked."""
KeyValues: TypeAlias = tuple[tuple[KeyOrValue, KeyOrValue], ...]
"""Keys (after RoPE) and values of one segment of tokens, per layer."""
