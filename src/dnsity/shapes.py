"""The shape legend, and the few array types the package speaks of.

    B  batch            T  tokens           G  gist tokens      Q  question tokens
    L  layers           K  kv heads         H  attention heads  D  head dim
    S  sequence slots that a query may see (prefix + own tokens)

Anything else is spelled out (`hidden`, `vocab`). Masks read (query, key) and say what True means.
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
"""Per layer the keys (after RoPE) and values of one segment of tokens."""
