"""The gate: each rule broken once, and what later models are held against."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from model.artifact.gate import judge

GOOD: dict[str, Any] = {
    "model_version": "relevance-1",
    "split": {"name": "last_n"},
    "metrics": {"train": {"rmse": 0.7}, "validation": {"rmse": None}, "test": {"rmse": 0.95}},
    "ranking": {
        "protocol": {"k": 10},
        "systems": {"model": {"metrics": {"ndcg": {"mean": 0.18}}}},
        "differences": {"popularity": {"mean": 0.11, "low": 0.1, "high": 0.12}},
    },
    "data": {"rows": 1_000},
    "vocabulary": {"users": 100, "titles": 50},
}


def changed(**values: Any) -> dict[str, Any]:
    """The good model with other values at places such as `data__rows`."""
    made = copy.deepcopy(GOOD)
    for path, value in values.items():
        *above, last = path.split("__")
        place = made
        for name in above:
            place = place[name]
        place[last] = value
    return made


def former() -> dict[str, Any]:
    return {**GOOD, "model_version": "relevance-0", "blessed": judge(changed(model_version="relevance-0"), True, None)}


def test_a_good_model_is_blessed_and_becomes_the_reference() -> None:
    alone, beside = judge(GOOD, True, None), judge(GOOD, True, former())
    assert alone["blessed"]
    assert beside["blessed"]
    assert "by 0.1100, at least 0.1000" in alone["why"][0]
    assert "beside relevance-0" in beside["why"][0]
    assert beside["reference"]["model_version"] == "relevance-1"
    assert beside["reference"]["sizes"] == {"interactions": 1_000, "users": 100, "titles": 50}


@pytest.mark.parametrize(
    ("model", "finite", "says"),
    [
        (GOOD, False, "not finite"),
        (changed(metrics__test__rmse=float("nan")), True, "RMSE on the test part is nan"),
        (changed(ranking=None), True, "were not measured"),
        (changed(ranking__differences__popularity__low=0.0), True, "not clearly above that of the most popular"),
        (changed(ranking__systems__model__metrics__ndcg__mean=0.17), True, "NDCG is 0.1700; relevance-0 had 0.1800"),
        (changed(metrics__test__rmse=0.97), True, "RMSE is 0.9700; relevance-0 had 0.9500, and 0.9690 would pass"),
        (changed(data__rows=899), True, "899 interactions; relevance-0 had 1,000"),
        (changed(vocabulary__users=89), True, "89 users; relevance-0 had 100"),
        (changed(vocabulary__titles=44), True, "44 titles; relevance-0 had 50"),
    ],
)
def test_each_rule(model: dict[str, Any], finite: bool, says: str) -> None:
    verdict = judge(model, finite, former())
    assert not verdict["blessed"]
    assert len(verdict["why"]) == 1
    assert says in verdict["why"][0]
    # What is not blessed is no measure for the next one.
    assert verdict["reference"]["model_version"] == "relevance-0"


def test_margins_are_margins() -> None:
    slightly = changed(
        ranking__systems__model__metrics__ndcg__mean=0.172,
        metrics__test__rmse=0.968,
        data__rows=900,
        vocabulary__users=90,
        vocabulary__titles=45,
    )
    assert judge(slightly, True, former())["blessed"]


def test_figures_of_another_split_are_not_compared_but_sizes_are() -> None:
    other = changed(split__name="time", metrics__test__rmse=1.2)
    assert judge(other, True, former())["blessed"]
    assert not judge(changed(split__name="time", data__rows=10), True, former())["blessed"]


def test_a_model_that_follows_one_without_a_verdict_stands_alone() -> None:
    assert judge(GOOD, True, {"model_version": "basic-0"})["blessed"]
