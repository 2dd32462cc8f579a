"""The choice of settings: data whose answer is known."""

from __future__ import annotations

import numpy as np

from model.rankers.relevance.choice import Choice, choose_settings
from model.rankers.relevance.histories import Histories
from model.rankers.settings import SequentialEaseSettings


def test_the_option_is_chosen_that_the_histories_bear_out() -> None:
    """Everybody watches a series in its order, from some title on: the latest alone tells what is next."""
    rng = np.random.default_rng(6)
    starts = rng.integers(0, 60, 200)
    title = (starts[:, None] + np.arange(14)).ravel() % 60
    series = Histories(np.repeat(np.arange(200), 14), title, 200, 60)
    latest = SequentialEaseSettings(dimension=32, l2=5.0, half_distance=3.0, half_life=2.0)
    never = SequentialEaseSettings(dimension=32, l2=5.0, old_weight=1.0, far_weight=1.0)
    choice = choose_settings(series, [never, latest], seed=0)
    assert choice.settings == latest
    assert len(choice.ndcg) == 2
    assert choice.ndcg[1] > 1.1 * choice.ndcg[0] > 0
    assert choose_settings(series, [never], seed=0) == Choice(never)
