"""`beam_jobs.score` with dense layers, end to end, against RunInference on single pairs.

./run_local.sh bench dense_layers
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from model.tensorflow_start import import_tensorflow
from tests.benchmarks import inputs, models, run_inference, scoring
from tests.benchmarks.comparison import in_new_process, in_turn, slope
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.setting import Setting

FLOOR, REACH = 40.0, 90.0
TITLES = 1_700
FEW_USERS = (120, 480)
"""Users for RunInference."""


def measure(setting: Setting) -> Outcome:
    """Measure rates as slopes between two numbers of users, with trained weights and, the worst case, random ones."""
    users, few = setting.size((10_000, 40_000), (200, 800)), setting.size(FEW_USERS, (20, 80))
    trained = models.folder_of(models.make_trained, setting.scratch, users[1], TITLES)
    worst = models.folder_of(models.make_model, setting.scratch, users[1], TITLES)
    sizes = {"run_inference": few, "score": users, "score_random_weights": [count // 2 for count in users]}
    seconds = in_turn(
        {
            "run_inference": lambda: in_new_process(time_pairs, trained, few, TITLES),
            "score": lambda: scoring.score_seconds(setting, trained, users, TITLES),
            "score_random_weights": lambda: scoring.score_seconds(
                setting, worst, sizes["score_random_weights"], TITLES
            ),
        },
        setting.turns,
    )
    rates = {name: TITLES * slope(sizes[name], seconds[name]) / 1e6 for name in seconds}
    ratios = {name: rates[name] / rates["run_inference"] for name in rates}
    labels = {
        "run_inference": "RunInference, one pair an element",
        "score": "beam_jobs.score, trained weights",
        "score_random_weights": "beam_jobs.score, random weights",
    }
    rows = [
        [label, f"{sizes[name][0]:,} to {sizes[name][1]:,}", f"{rates[name]:.3f}", f"{ratios[name]:.1f}x"]
        for name, label in labels.items()
    ]
    return Outcome(
        [Table([f"dense layers, {TITLES:,} titles", "users", "M pairs/s", "ratio"], rows)],
        {"million_pairs_a_second": rates, "ratios": ratios, "seconds": seconds},
        [Floor("beam_jobs.score against RunInference", ratios["score"], FLOOR, REACH)],
    )


def time_pairs(model: Path, users: Sequence[int], titles: int) -> list[float]:
    """The seconds of RunInference for each number of users, after a run that is not timed."""
    import_tensorflow()
    # RunInference looks for a module under a wrong name, and warns that it is missing.
    logging.getLogger().setLevel(logging.ERROR)
    return [
        run_inference.timed_run(str(model), inputs.make_users(count, titles), inputs.titles(titles), inputs.TOP_N)
        for count in (users[0] // 10, *users)
    ][1:]
