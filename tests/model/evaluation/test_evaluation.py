"""The protocol: known figures on the real data, a checkerboard whose answer is certain, and what is counted out."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.data.interactions import SCHEMA
from model.data.sources import read_interactions
from model.data.splits import Split, split_interactions
from model.evaluation import held_out as held_out_module
from model.evaluation.baselines.fitting import fit_baselines, fit_rating_baselines
from model.evaluation.held_out import HeldOut
from model.evaluation.ranking_evaluation import RankingReport, evaluate_ranking
from model.evaluation.rating_evaluation import evaluate_ratings
from model.evaluation.report import render_ranking, render_ratings
from model.evaluation.systems import LABELS, MODEL
from model.evaluation.top_n import best_unseen
from tests.model.rankers.article.test_training import checkerboard


def rows(*triples: tuple[str, str]) -> pa.Table:
    columns = [list(column) for column in zip(*triples, strict=True)]
    numbers = np.arange(len(triples))
    return pa.table([*columns, pa.array(numbers % 5 + 1, pa.float32()), numbers], schema=SCHEMA)


def knows_the_board(
    user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
) -> np.ndarray:
    """Titles of the user's own parity first."""
    user, title = (np.array([int(word[1:] or 0) for word in words.to_pylist()]) for words in (user_ids, titles))
    scores = (user[:, np.newaxis] % 2 == title % 2).astype(np.float32)
    return best_unseen(scores, seen_values, seen_row_splits, k)


def board_split() -> Split:
    """Every user has the titles of their parity, all but two of them in training."""
    whole = checkerboard()
    return split_interactions(whole.filter(pa.array(whole["user_rating"].to_numpy() == 5)), "last_n", last_n=2)


def report_of(split: Split, **settings: int) -> RankingReport:
    fitted = fit_baselines(split)
    report = evaluate_ranking(knows_the_board, split, fitted.recommenders, left_out=fitted.left_out, **settings)
    assert report is not None
    return report


def test_a_recommender_that_knows_finds_everything() -> None:
    report = report_of(board_split(), k=12)
    # 10 of the 20 titles of a user's parity are rated: a list of 12 holds the 2 held out and the 10 that are not.
    own = report.systems[MODEL].metrics
    assert own["recall"].mean == own["hit_rate"].mean == own["recall"].low == 1
    assert report.systems["popularity"].metrics["recall"].mean < 1
    assert report.differences["popularity"].low > 0
    assert report.differences.keys() == fit_baselines(board_split()).recommenders.keys()


def test_it_measured_against_itself_is_no_better() -> None:
    report = evaluate_ranking(knows_the_board, board_split(), {"itself": knows_the_board})
    assert report is not None
    assert report.best_baseline == "itself"
    difference = report.differences["itself"]
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_who_and_what_is_counted() -> None:
    train = rows(("a", "x"), ("a", "y"), ("b", "x"))
    # a has x already; c is new, as is the title z; b's only title is one that they had.
    test = rows(("a", "x"), ("a", "z"), ("b", "x"), ("c", "y"), ("c", "y"))
    split = Split("given", train, rows(("d", "w")), test)
    held_out = HeldOut.of(split)
    assert held_out.users.to_pylist() == ["a", "c"]
    assert held_out.titles.to_pylist() == ["w", "x", "y", "z"]
    assert held_out.seen.indices.tolist() == [1, 2]
    assert held_out.relevant.indices.tolist() == [3, 2]
    assert held_out.owners.tolist() == [0, 2, 1, 0]
    assert (held_out.test_users, held_out.eligible_users, held_out.already_had) == (3, 2, 2)
    report = report_of(split, k=2)
    protocol = report.protocol
    assert (protocol["users"], protocol["new_users"], protocol["users_without_relevant"]) == (2, 1, 1)
    assert (protocol["relevant"], protocol["new_titles"], protocol["titles"]) == (2, 2, 4)
    segments = {segment.name: segment for segment in report.segments}
    assert {name: segment.users for name, segment in segments.items() if segment.users} == {
        "new users": 1,
        "1 to 5 titles": 1,
        "new titles": 1,
    }
    # Most popular: x, y for c, and for a the titles that nobody has, by position: w, z.
    assert segments["new users"].metrics["popularity"]["ndcg"].mean == pytest.approx(1 / np.log2(3))
    assert segments["new titles"].metrics["popularity"]["ndcg"].mean == pytest.approx(1 / np.log2(3))


def test_segments_are_all_of_the_users() -> None:
    report = report_of(board_split())
    by_length = [segment for segment in report.segments if segment.name != "new titles"]
    users = sum(segment.users for segment in by_length)
    assert users == report.protocol["users"] == 40
    ndcg = sum(part.users * part.metrics["ease"]["ndcg"].mean for part in by_length if part.users) / users
    assert ndcg == pytest.approx(report.systems["ease"].metrics["ndcg"].mean)


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report_of(board_split()).as_dict()
    asked = []

    def counted(users: pa.Array, *others: object) -> np.ndarray:
        asked.append(len(users))
        return knows_the_board(users, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(held_out_module, "USERS_A_BLOCK", 7)
    assert report_of(board_split()).as_dict() == whole
    evaluate_ranking(counted, board_split(), {})
    assert asked == [7, 7, 7, 7, 7, 5]


def test_users_are_drawn_by_the_seed() -> None:
    drawn = HeldOut.of(board_split(), max_users=9, seed=1)
    assert len(drawn.users) == 9
    assert drawn.users == HeldOut.of(board_split(), max_users=9, seed=1).users
    assert drawn.users != HeldOut.of(board_split(), max_users=9, seed=2).users
    report = report_of(board_split(), max_users=9)
    assert (report.protocol["users"], report.protocol["users_not_sampled"]) == (9, 31)


def test_nothing_to_find_is_no_report() -> None:
    table = rows(("a", "x"), ("b", "y"))
    assert evaluate_ranking(knows_the_board, split_interactions(table, "none"), {}) is None


def test_text_and_json_have_every_figure() -> None:
    report = report_of(board_split())
    text = render_ranking(report)
    lines = text.splitlines()
    for name, system in report.systems.items():
        label = LABELS[name]
        means, intervals = next((line, after) for line, after in itertools.pairwise(lines) if line.startswith(label))
        assert means.removeprefix(label).split() == [f"{value.mean:.3f}" for value in system.metrics.values()]
        assert intervals.split() == [f"{value.low:.3f}-{value.high:.3f}" for value in system.metrics.values()]
        assert [line for line in lines if line.startswith(label) and f"{system.titles:,}" in line.split()]
        assert name in json.loads(json.dumps(report.as_dict(), allow_nan=False))["systems"]
    for value in report.differences.values():
        assert f"{value.mean:+.4f}  {value.low:.4f} to {value.high:.4f}" in text
    for segment in report.segments:
        for value in (segment.metrics[name]["ndcg"] for name in segment.metrics):
            assert f"{value.mean:.3f}" in text
            assert f"{value.low:.3f}-{value.high:.3f}" in text
    told = " ".join(text.split())
    assert all(words in told for words in report.protocol["words"])


@pytest.mark.parametrize("left_out", [{}, {"ease": "a reason " * 20}])
def test_reports_fit_eighty_columns(left_out: dict[str, str]) -> None:
    split = board_split()
    five = dict.fromkeys(("popularity", "biases", "ease", "ials"), knows_the_board)
    report = evaluate_ranking(knows_the_board, split, five, left_out=left_out)
    assert report is not None
    known = lambda users, titles: np.full(len(users), 2.0)  # noqa: E731
    ratings = evaluate_ratings(known, split, fit_rating_baselines(split))
    lines = [*render_ranking(report).splitlines(), *render_ratings(ratings).splitlines()]
    assert len(lines) > 40
    assert not [line for line in lines if len(line) > 80]


def test_ratings_of_known_users_and_of_new_ones() -> None:
    train = rows(("a", "x"), ("b", "y"))
    test = rows(("a", "y"), ("c", "x"), ("c", "y"))
    split = Split("given", train, train.slice(0, 0), test)
    report = evaluate_ratings(lambda users, titles: np.full(len(users), 2.0), split, fit_rating_baselines(split))
    # Given: 1, 2, 3; 2 is always predicted, and 1.5 by the mean of the training rows.
    assert report.systems[MODEL] == {
        "warm": {"rmse": 1, "mae": 1, "rows": 1},
        "cold": {"rmse": pytest.approx(np.sqrt(0.5)), "mae": 0.5, "rows": 2},
        "all": {"rmse": pytest.approx(np.sqrt(2 / 3)), "mae": pytest.approx(2 / 3), "rows": 3},
    }
    assert report.systems["global mean"]["warm"]["mae"] == 0.5
    assert report.parts["validation"] == {"rmse": None, "mae": None, "rows": 0}
    assert "1.0000" in render_ratings(report)
    json.dumps(report.as_dict(), allow_nan=False)


def test_the_known_figures(movielens_dir: Path) -> None:
    split = split_interactions(read_interactions(str(movielens_dir)).table, "last_n", last_n=5)
    fitted = fit_baselines(split)
    # The model's place is taken by EASE, so that it is measured against itself too.
    report = evaluate_ranking(fitted.recommenders["ease"], split, fitted.recommenders)
    assert report is not None
    assert (report.protocol["users"], report.protocol["titles"]) == (943, 1_664)
    means = {name: (one.metrics["ndcg"].mean, one.metrics["recall"].mean) for name, one in report.systems.items()}
    assert means["popularity"] == pytest.approx((0.0655, 0.078), abs=0.001)
    assert means["ease"] == pytest.approx((0.1214, 0.1443), abs=0.0005)
    assert means["biases"] == pytest.approx((0.023, 0.031), abs=0.001)
    assert report.systems["ease"].titles == 495
    assert report.systems["popularity"].titles in (93, 94)
    best = max(("ease", "ials"), key=lambda name: means.get(name, (0, 0))[0])
    assert report.best_baseline == best
    assert report.differences["ease"].mean == 0
    assert report.differences["popularity"].low > 0.04
