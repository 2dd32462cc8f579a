"""The model card: whole, of one file, and every figure in it the one that was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from model.card.charts import IntervalChart, LineChart, nice_ticks
from model.card.figures import card_data
from model.card.learning import describe
from model.card.model_card import write_card
from model.data.splits import Split, split_interactions
from model.evaluation.baselines.fitting import fit_baselines, fit_rating_baselines
from model.evaluation.ranking_evaluation import evaluate_ranking
from model.evaluation.rating_evaluation import evaluate_ratings
from tests.model.evaluation.test_evaluation import knows_the_board
from tests.model.rankers.article.test_training import checkerboard

DESCRIPTION = {
    "model_kind": "rating",
    "score_kind": "rating",
    "model_version": "rating-<b>&1",
    "parameters": {"trainable": 12_345},
    "data": {"dataset": "a board & more", "rows": 1_200, "digest": "d1ge57", "rejects": {"no user_id": 77}},
    "split": {"name": "last_n", "rows": {"train": 1_000, "validation": 0, "test": 200}},
    "trained_on": {"what": "train part", "rows": 1_000, "digest": "d"},
    "seed": 4_711,
    "versions": {"tensorflow": "2.21.0"},
    "blessed": {"blessed": False, "why": ["NDCG@10 is 3 < 4"]},
}
HISTORY = {
    "rmse": [1.5, 1.25, 1.1251],
    "val_rmse": [1.6, 1.5, 1.4987],
    "next_title_loss": [9.0, 8.7654],
    "total_loss": [1.0],
    "empty": [],
}


def predict(users: np.ndarray, titles: np.ndarray) -> np.ndarray:
    parity = [int(user[1:]) % 2 == int(title[1:]) % 2 for user, title in zip(users, titles, strict=True)]
    return np.where(parity, 4.5, 2.0).astype(np.float32)


def split_of_board() -> Split:
    whole = checkerboard()
    return split_interactions(whole.filter(pa.array(whole["user_rating"].to_numpy() == 5)), "last_n", last_n=2)


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    split = split_of_board()
    fitted = fit_baselines(split)
    ranking = evaluate_ranking(knows_the_board, split, fitted.recommenders, k=7, left_out={"ials": "not <here>"})
    assert ranking is not None
    return {
        "ranking": ranking.as_dict(),
        "ratings": evaluate_ratings(predict, split, fit_rating_baselines(split)).as_dict(),
        "history": HISTORY,
        "data": card_data(knows_the_board, predict, split),
    }


@pytest.fixture(scope="module")
def page(reports: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("card") / "model_card.html"
    write_card(path, DESCRIPTION, **reports)
    return path.read_text(encoding="utf-8")


class Strict(HTMLParser):
    """Fails where an element is not closed in its turn; keeps the words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parse(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def words_of(page: str) -> str:
    return " ".join(" ".join(parse(page).words).split())


def test_it_is_whole_and_refers_to_nothing_outside(page: str) -> None:
    parsed = parse(page)
    assert parsed.tags.count("figure") == 4 + 1 + 2 + 2
    assert not {"script", "link", "img", "iframe", "b"} & set(parsed.tags)
    assert not re.search(r"https?:|url\(|@import|\bsrc=|\bhref=", page)


def figures(reports: dict[str, Any]) -> Iterator[str]:
    for name, system in reports["ranking"]["systems"].items():
        for value in system["metrics"].values():
            yield f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
        yield f"{name and system['titles']:,}"
        yield f"{system['coverage']:.1%}"
        yield f"{system['novelty']:.2f}"
        yield f"{system['popularity']:.3f}"
        yield f"{system['popularity_bias']:+.3f}"
    for value in reports["ranking"]["differences"].values():
        yield f"{value['mean']:+.4f} ({value['low']:+.4f} to {value['high']:+.4f})"
        yield f"{value['mean']:+.4f}, 95% CI {value['low']:.4f} to {value['high']:.4f}"
    yield from reports["ranking"]["protocol"]["words"]
    for system in reports["ratings"]["systems"].values():
        for measured in system.values():
            yield from (f"{measured[error]:.4f}" for error in ("rmse", "mae") if measured[error] is not None)
    for group in reports["data"]["calibration"]:
        yield from (f"{group['predicted']:.3f}", f"{group['given']:.3f}", f"{group['rows']:,}")
    for example in reports["data"]["examples"]:
        yield f"{example['user']} (had {example['had']:,})"
        yield " ".join(example["last"])
        for place, one in enumerate(example["recommended"], 1):
            yield f"{place}. {one['title']} ({one['rating']:.2f}){' ✓' if one['hit'] else ''}"


def test_every_figure_is_the_one_measured(page: str, reports: dict[str, Any]) -> None:
    words = words_of(page)
    expected = list(figures(reports))
    assert len(expected) > 100
    assert not [figure for figure in expected if figure not in words]
    assert "training, last 1.1251" in words
    assert "validation, last 1.4987" in words
    assert "training, last 8.7654" in words
    told = ["a board & more", "d1ge57", "77 rows", "12,345", "4711", "tensorflow 2.21.0", "not <here>", "rating-<b>&1"]
    assert not [word for word in told if word not in words]


def test_the_gates_verdict_stands_first(page: str, reports: dict[str, Any], tmp_path: Path) -> None:
    assert words_of(page).index("Must not be sent to users NDCG@10 is 3 < 4") < words_of(page).index("In short")
    blessed = {"blessed": True, "why": ["all well"]}
    write_card(tmp_path / "card.html", {**DESCRIPTION, "blessed": blessed}, **reports)
    assert "May be sent to users all well" in words_of((tmp_path / "card.html").read_text(encoding="utf-8"))


def test_better_worse_and_undecided_are_told_apart(page: str, reports: dict[str, Any], tmp_path: Path) -> None:
    differences = {
        "popularity": {"mean": 0.2, "low": 0.1, "high": 0.3},
        "biases": {"mean": -0.2, "low": -0.3, "high": -0.1},
        "ease": {"mean": 0.0, "low": -0.1, "high": 0.1},
    }
    ranking = {**reports["ranking"], "differences": differences}
    write_card(tmp_path / "card.html", DESCRIPTION, **{**reports, "ranking": ranking})
    words = words_of((tmp_path / "card.html").read_text(encoding="utf-8"))
    assert "better than those of “most popular”" in words
    assert "WORSE than those of “by predicted rating (biases)”" in words
    assert "cannot tell its lists from those of “EASE, lambda 200”" in words


def test_a_model_of_which_little_is_known(tmp_path: Path) -> None:
    split = split_interactions(checkerboard(), "none")
    bare = {"model_kind": "basic", "score_kind": "relevance", "model_version": "basic-1"}
    ratings = evaluate_ratings(predict, split, {}).as_dict()
    write_card(tmp_path / "card.html", bare, None, ratings, {}, card_data(knows_the_board, predict, split))
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "nan" not in words_of(page).lower().split()
    assert "Not decided" in page
    assert "Nothing was held out" in page


def test_what_the_charts_are_of() -> None:
    split = split_of_board()
    data = card_data(knows_the_board, predict, split, user_ids=True)
    assert sum(group["rows"] for group in data["calibration"]) == split.test.num_rows
    predicted = [group["predicted"] for group in data["calibration"]]
    assert predicted == sorted(predicted)
    for name in ("held_out", "recommended"):
        assert sum(data["ratings"][name]) == pytest.approx(1)
    assert len(data["examples"]) == 10
    example = data["examples"][0]
    had = split.train.filter(pa.array([user == example["user"] for user in split.train["user_id"].to_pylist()]))
    assert example["had"] == had.num_rows
    # In the table the titles of a user stand in the order of time.
    assert example["last"] == had["movie_title"].to_pylist()[::-1][:5]
    assert not set(had["movie_title"].to_pylist()) & {one["title"] for one in example["recommended"]}


def test_users_are_named_by_number_unless_ids_are_asked_for() -> None:
    split = split_of_board()
    anonymous, named = (card_data(knows_the_board, predict, split, user_ids=asked) for asked in (False, True))
    assert [example["user"] for example in anonymous["examples"]] == [f"User {number}" for number in range(1, 11)]
    assert {example["user"] for example in named["examples"]} <= set(split.test["user_id"].to_pylist())
    for one, other in zip(anonymous["examples"], named["examples"], strict=True):
        assert {**one, "user": None} == {**other, "user": None}


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.03, 0.131), (-0.08, 0.02), (5, 5), (0, 123_456), (1e-6, 2e-6)])
def test_ticks_are_round_and_reach_over_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert ticks[0] <= low
    assert ticks[-1] >= high
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-3)


def test_marks_lie_where_their_figures_are() -> None:
    chart = IntervalChart.of([("a", 0, 0, 0), ("b", 1, 1, 1), ("c", 0.5, 0, 1)])
    first, second, third = chart.bars
    assert (first.mean, second.mean) == (0, 100)
    assert (third.low, third.mean, third.high) == (0, 50, 100)
    assert [(tick.place, tick.label) for tick in chart.ticks[::5]] == [(0, "0"), (100, "1")]
    assert IntervalChart.of([("a", 0.5, -1, 1)], mark_zero=True).zero == 50
    (line,) = LineChart.of({"a": [(0, 0), (1, 1)]}, "x", "y", diagonal=True).lines
    assert [point[:2] for point in line.points] == [(0, 100), (100, 0)]


def test_the_page_draws_every_mark(page: str, reports: dict[str, Any]) -> None:
    systems, differences = reports["ranking"]["systems"], reports["ranking"]["differences"]
    bars = 3 * len(systems) + len(differences)
    assert len(re.findall(r'<circle cx="[\d.]+%" cy="9"', page)) == bars
    assert len(re.findall("<polyline ", page)) == len(systems) + 1 + 1 + 2 + 3
    assert len(re.findall(r"<circle .*<title>", page)) == len(reports["data"]["calibration"])


@pytest.mark.parametrize(
    "created_at", ["2026-03-01T04:05:06+00:00", "2026-03-01T04:05:06Z", "2026-03-01T05:05:06+01:00"]
)
def test_the_date_of_making(created_at: str, page: str, reports: dict[str, Any], tmp_path: Path) -> None:
    write_card(tmp_path / "card.html", {**DESCRIPTION, "created_at": created_at}, **reports)
    assert "Made on 2026-03-01 04:05 UTC." in words_of((tmp_path / "card.html").read_text(encoding="utf-8"))
    assert "Made on" not in words_of(page)


@pytest.mark.parametrize(
    ("training", "validation", "told"),
    [
        ([2.0, 1.5, 1.25], [], "it fell from 2.0000 to 1.2500 in 3 passes. There were no validation rows."),
        ([2.0, 2.001], [], "it hardly changed in 2 passes: 2.0000 at first, 2.0010 at last."),
        ([1.0, 2.0], [], "it rose from 1.0000 to 2.0000 in 2 passes."),
        ([1.0], [], "it was 1.0000 after one pass."),
        ([3.0, 1.0, 2.0], [], "it fell from 3.0000 to 2.0000 in 3 passes; it was lowest, 1.0000, after pass 2."),
        ([3.0, 2.0, 1.0], [3.0, 2.5, 2.8], "After pass 2 it improved on training rows alone"),
    ],
)
def test_the_words_say_what_the_curves_do(training: list[float], validation: list[float], told: str) -> None:
    assert told in describe(training, validation)


def test_no_learning_by_heart_where_validation_goes_on_to_improve() -> None:
    assert "by heart" not in describe([3.0, 2.0, 1.0], [3.0, 2.8, 2.5])
    assert "by heart" not in describe([3.0, 2.0, 2.5], [3.0, 2.5, 2.8])
