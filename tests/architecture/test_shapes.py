"""The tests check shape annotations at run time."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

import shapes_checked
from dnsity.gist.mask import gist_sees_document
from dnsity.model.key_values import concatenate


def test_every_module_with_arrays_is_checked() -> None:
    assert {"dnsity.gist.mask", "dnsity.model.gist_lm", "dnsity.model.backbone"} <= set(
        shapes_checked.modules()
    )


def test_arguments_of_another_shape_or_type_are_noticed() -> None:
    real = torch.ones(2, 5, dtype=torch.bool)
    assert gist_sees_document(3, real, "append").shape == (2, 3, 5)
    for wrong in (real[0], real.float()):
        with pytest.raises(TypeCheckError, match="real"):
            gist_sees_document(3, wrong, "append")


def test_keys_are_noticed_inside_tuples() -> None:
    layer = (torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    assert len(concatenate((layer,), (layer,))) == 1
    with pytest.raises(TypeCheckError):
        concatenate((layer,), ((layer[0][0], layer[1]),))
