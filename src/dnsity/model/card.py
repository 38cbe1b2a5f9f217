"""The model card of a saved gist model."""

from __future__ import annotations

from typing import Any

from dnsity.gist.spec import GistSpec


def model_card(spec: GistSpec, base: str, run: dict[str, Any]) -> str:
    """Write the model card of a gist model from its configuration, without results.

    Args:
        spec: Compression settings of the model.
        base: Name of the base model.
        run: Manifest of the training run (`dnsity.config.manifest`).
    """
    acting = {
        "gist": "LoRA on the gist positions only; the unchanged base answers",
        "document": "LoRA while compressing (document and gists); the unchanged base answers",
        "both": "LoRA while compressing and while answering",
        "full": "all weights; this model includes its base",
    }[spec.scope]
    return f"""---
library_name: dnsity
tags: [gist-tokens, context-compression]
base_model: {base}
---

# A dnsity gist model

Compresses up to {spec.window_tokens} tokens of document into {spec.gists} gist slots of key/value
cache (placement: {spec.placement}) and answers questions from them alone.

- Base: `{base}`
- Trained: {acting}
- Seed {run["seed"]}, commit `{run["commit"] or "unknown"}`
- transformers {run["versions"]["transformers"]}, torch {run["versions"]["torch"]}

A saved gist contains its document in compressed form: treat the file as you treat the document.
A document can contain instructions; compression does not remove them. Small models answer only the
kinds of question they were trained on, and wrong answers are as fluent as right ones.

```python
from dnsity import GistModel

model = GistModel.from_pretrained("path/to/this/directory")
gist = model.compress(open("document.txt", encoding="utf-8").read())
print(model.ask(gist, "What is the passkey?").text)
```
"""
