"""The gate: each rule broken once, and the figures that later models are compared with."""

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
    """The good model with other values, at paths such as `data__rows`."""
    made = copy.deepcopy(GOOD)
    for path, value in values.items():
        *above, last = path.split("__")
        place = made
        for name in above:
            place = place[name]
        place[last] = value
    return made


def previous() -> dict[str, Any]:
    return {**GOOD, "model_version": "relevance-0", "blessed": judge(changed(model_version="relevance-0"), True, None)}


def test_a_good_model_is_blessed_and_becomes_the_reference() -> None:
    alone, after = judge(GOOD, True, None), judge(GOOD, True, previous())
    assert alone["blessed"]
    assert after["blessed"]
    assert alone["why"] == ["NDCG@10 beats the most popular titles by 0.1100 (95% CI 0.1000 to 0.1200)."]
    assert after["why"][0].endswith("(95% CI 0.1000 to 0.1200), and no figure is much worse than with relevance-0.")
    assert after["reference"]["model_version"] == "relevance-1"
    assert after["reference"]["sizes"] == {"interactions": 1_000, "users": 100, "titles": 50}


@pytest.mark.parametrize(
    ("model", "finite", "says"),
    [
        (GOOD, False, "not finite"),
        (changed(metrics__test__rmse=float("nan")), True, "RMSE on the test part is nan."),
        (changed(ranking=None), True, "were not measured"),
        (
            changed(ranking__differences__popularity__low=0.0),
            True,
            "does not clearly beat the most popular titles: the difference is 0.1100 (95% CI 0.0000 to 0.1200).",
        ),
        (
            changed(ranking__systems__model__metrics__ndcg__mean=0.17),
            True,
            "NDCG is 0.1700; it must be at least 0.1710, as relevance-0 had 0.1800.",
        ),
        (
            changed(metrics__test__rmse=0.97),
            True,
            "RMSE is 0.9700; it must be at most 0.9690, as relevance-0 had 0.9500.",
        ),
        (
            changed(data__rows=899),
            True,
            "It has 899 interactions; it must have at least 900, as relevance-0 had 1,000.",
        ),
        (changed(vocabulary__users=89), True, "It has 89 users; it must have at least 90, as relevance-0 had 100."),
        (changed(vocabulary__titles=44), True, "It has 44 titles; it must have at least 45, as relevance-0 had 50."),
    ],
)
def test_each_rule(model: dict[str, Any], finite: bool, says: str) -> None:
    verdict = judge(model, finite, previous())
    assert not verdict["blessed"]
    assert len(verdict["why"]) == 1
    assert says in verdict["why"][0]
    # The next model is compared with the last one that passed.
    assert verdict["reference"]["model_version"] == "relevance-0"


def test_margins_are_margins() -> None:
    slightly = changed(
        ranking__systems__model__metrics__ndcg__mean=0.172,
        metrics__test__rmse=0.968,
        data__rows=900,
        vocabulary__users=90,
        vocabulary__titles=45,
    )
    assert judge(slightly, True, previous())["blessed"]


def test_figures_of_another_split_are_not_compared_but_sizes_are() -> None:
    other = changed(split__name="time", metrics__test__rmse=1.2)
    assert judge(other, True, previous())["blessed"]
    assert not judge(changed(split__name="time", data__rows=10), True, previous())["blessed"]


def test_a_model_that_replaces_one_without_a_verdict_is_judged_alone() -> None:
    assert judge(GOOD, True, {"model_version": "basic-0"})["blessed"]
