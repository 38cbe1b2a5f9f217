"""Write docs/supported_models.md: the verdict on every architecture, each tested as a tiny model.

python scripts/architectures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "supported_models.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    import torch
    import transformers

    from every_architecture import table

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    PAGE.write_text(table(), encoding="utf-8")
