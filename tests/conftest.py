"""What many tests stand on: the real data, where it is, and the sample."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from model.data.interactions import Interactions
from model.data.sources import read_interactions

# The same examples in every run; `--hypothesis-profile default` draws others.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


def _folder(variable: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set, so the real data is not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def movielens_dir() -> Path:
    """The folder of MovieLens 100K as GroupLens publishes it."""
    return _folder("MOVIELENS_100K_DIR")


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A folder in which TensorFlow Datasets has prepared movielens/100k-ratings."""
    return _folder("TFDS_DATA_DIR")


@pytest.fixture(scope="session")
def sample() -> Interactions:
    """The sample dataset."""
    return read_interactions("sample")
