"""The legend of tensor shapes, and common tensor types.

    B  batch            T  tokens           G  gist tokens      Q  question tokens
    L  layers           K  kv heads         H  attention heads  D  head dim
    S  keys in the sequence (prefix and own tokens)

Other axes are spelled out (`hidden`, `vocab`). Masks are indexed (query, key) and document the
meaning of True.
"""

from __future__ import annotations

from typing import TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor

TokenIds: TypeAlias = Int[Tensor, "B T"]
PaddingMask: TypeAlias = Bool[Tensor, "B T"]
"""True at real tokens, False at padding."""
PositionIds: TypeAlias = Int[Tensor, "B T"]
Visible: TypeAlias = Bool[Tensor, "B T S"]
"""True where the query (row) may see the key (column)."""
Logits: TypeAlias = Float[Tensor, "B T vocab"]
KeyOrValue: TypeAlias = Float[Tensor, "B K T D"]
KeyValues: TypeAlias = tuple[tuple[KeyOrValue, KeyOrValue], ...]
"""Keys (after RoPE) and values of one segment of tokens, per layer."""
