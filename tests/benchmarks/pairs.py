"""`beam_jobs.score` with dense layers against RunInference with one pair an element, end to end.

./run_local.sh bench pairs
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from model.tensorflow_start import import_tensorflow
from tests.benchmarks import inputs, models, one_pair_an_element
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.scoring import Job, time_score
from tests.benchmarks.setting import Setting
from tests.benchmarks.sides import in_new_process, in_turn, slope

FLOOR, REACH = 40.0, 90.0
TITLES = 1_700
FEW_USERS = (120, 480)
"""For RunInference."""
WARM_UP = 256
"""Users of the run that is not timed."""


def measure(setting: Setting) -> Outcome:
    """Rates as slopes between two numbers of users; the model trained, and with random weights, the worst case."""
    users, few = setting.size((10_000, 40_000), (200, 800)), setting.size(FEW_USERS, (20, 80))
    trained = models.folder_of(models.make_trained, setting.scratch, users[1], TITLES)
    worst = models.folder_of(models.make_model, setting.scratch, users[1], TITLES)
    sizes = {"run_inference": few, "score": users, "score_random_weights": [count // 2 for count in users]}
    seconds = in_turn(
        {
            "run_inference": lambda: in_new_process(time_pairs, trained, few, TITLES),
            "score": lambda: score_seconds(setting, trained, users),
            "score_random_weights": lambda: score_seconds(setting, worst, sizes["score_random_weights"]),
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


def score_seconds(
    setting: Setting, model: Path, users: Sequence[int], titles: int = TITLES, flags: Sequence[str] = ()
) -> list[float]:
    """Of `beam_jobs.score` for each number of users, in a process of its own."""
    warm_up, *timed = jobs(setting, model, [WARM_UP, *users], titles)
    seconds: list[float] = in_new_process(time_score, warm_up, timed, flags)
    return seconds


def jobs(setting: Setting, model: Path, users: Sequence[int], titles: int = TITLES) -> list[Job]:
    """A run for each number of users."""
    return [
        Job(model, inputs.users_file(setting.scratch, count, titles), inputs.candidates_file(setting.scratch, titles))
        for count in users
    ]


def time_pairs(model: Path, users: Sequence[int], titles: int) -> list[float]:
    """Seconds of the pipeline of one pair an element for each number of users, after a run that is not timed."""
    import_tensorflow()
    # RunInference warns of a module that it looks for under a name it does not have.
    logging.getLogger().setLevel(logging.ERROR)
    return [
        one_pair_an_element.timed_run(str(model), inputs.make_users(count, titles), inputs.titles(titles), inputs.TOP_N)
        for count in (users[0] // 10, *users)
    ][1:]
