"""Fixtures: a tiny gist model and one gist of it, shared by tests and never changed."""

from __future__ import annotations

import pytest

from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from tiny import DOCUMENT, tiny_gist_model


@pytest.fixture(scope="session")
def model() -> GistModel:
    return tiny_gist_model()


@pytest.fixture(scope="session")
def gist(model: GistModel) -> GistCache:
    return model.compress(DOCUMENT)
