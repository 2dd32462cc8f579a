"""The search of settings: what is tried, in which order it is told, and that the test part has no say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from model import tune
from model.cli import InputError
from model.data.interactions import Interactions
from model.data.splits import Split, split_interactions


@dataclass(frozen=True)
class Settings:
    width: int = 3
    rate: float = 0.1


GRID = {"width": (1, 2, 3, 4), "rate": (0.1, 0.2)}


def distance(settings: Settings, split: Split, seed: int) -> float:
    """Least at a width of 2 and a rate of 0.2."""
    return abs(settings.width - 2) + abs(settings.rate - 0.2) + 0.001 * seed


def test_candidates_begin_with_the_start_and_come_once_each() -> None:
    tried = tune.candidates(Settings(), GRID, 5, seed=0)
    assert tried[0] == {}
    assert len(tried) == 6
    assert len({tuple(sorted(changed.items())) for changed in tried}) == 6
    assert tried == tune.candidates(Settings(), GRID, 5, seed=0)
    # The grid has eight points, the start among them.
    everything = tune.candidates(Settings(), GRID, 50, seed=0)
    assert {replace(Settings(), **changed) for changed in everything} == {
        Settings(width, rate) for width in GRID["width"] for rate in GRID["rate"]
    }
    with pytest.raises(ValueError, match="height"):
        tune.candidates(Settings(), {"height": (1,)}, 5, seed=0)


def test_the_best_comes_first(sample: Interactions) -> None:
    split = split_interactions(sample.table.slice(0, 100), "time")
    trials = tune.search(tune.Search(Settings(), GRID, distance, "error"), split, 50, seeds=(0, 1))
    assert len(trials) == 8
    assert trials[0].changed == {"width": 2, "rate": 0.2}
    assert trials[0].values == [0.0, 0.001]
    assert [trial.mean for trial in trials] == sorted(trial.mean for trial in trials)
    lines = tune.as_text(trials, "error").splitlines()
    assert len(lines) == 2 + 8
    assert lines[2] == "| width 2, rate 0.2 | 0.0005 | 0.0010 | 0 |"


def test_the_grids_hold_settings_that_exist_and_the_defaults() -> None:
    for search in tune.SEARCHES.values():
        assert tune.candidates(search.settings, search.grid, 1, seed=0)


def test_the_rating_search_does_not_look_at_the_test_part(sample: Interactions) -> None:
    split = split_interactions(sample.table.slice(0, 2_000), "random")
    settings = replace(tune.SEARCHES["rating"].settings, members=1, factors=2, epochs=1)
    with_test = tune.validation_rmse(settings, split, 0)
    assert tune.validation_rmse(settings, replace(split, test=split.test.slice(0, 0)), 0) == with_test
    assert 0.5 < with_test < 2


def test_a_split_without_validation_is_refused() -> None:
    with pytest.raises(InputError, match="last_n leaves train or validation without rows"):
        tune.main(["--split", "last_n"])
    with pytest.raises(InputError, match="--trials 0"):
        tune.main(["--trials", "0"])
