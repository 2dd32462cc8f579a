"""The `recommend` signature alone, against libraries that do the same in memory on the same vectors.

    ./run_local.sh bench kernels

Only Nightrank also looks up user ids and titles in vocabularies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.benchmarks import models
from tests.benchmarks.comparison import in_new_process, in_turn
from tests.benchmarks.inputs import TOP_N
from tests.benchmarks.outcome import Floor, Outcome, Table
from tests.benchmarks.peers import environment, in_tensorflow
from tests.benchmarks.scoring import kernel_answers, kernel_rate
from tests.benchmarks.setting import Setting, cores

SHAPES = ((32, 20_000, 100), (models.FACTORS, 1_664, 20))
"""Factors, titles and k of each comparison."""
USERS = 8_192
FLOOR, REACH = 1.0, 2.0
COMPARED = 64
"""Users whose answers are compared."""
AGREE = 0.99
"""The share of the k best that two systems must have in common."""


def measure(setting: Setting) -> Outcome:
    """Measure each shape of products, and dense layers. If a peer is not installed, its row says so."""
    window, users = setting.size(1.0, 0.2), setting.size(USERS, 512)
    made = [_products(setting, shape, users, window) for shape in SHAPES] + [_dense(setting, window)]
    rates = dict(made)
    rows = []
    for what, of_all in rates.items():
        ours = of_all["nightrank"]
        for name, rate in of_all.items():
            note = f"{rate / 1e6:.2f}", f"{ours / rate:.2f}x"
            rows.append([what, name, *(note if math.isfinite(rate) else (environment.NOT_INSTALLED, "-"))])
    floors = [
        Floor(f"kernel against implicit, {what}", of_all["nightrank"] / of_all["implicit"], FLOOR, REACH)
        for what, of_all in rates.items()
        if math.isfinite(of_all.get("implicit", math.nan))
    ]
    notes = [f"In memory, {len(cores())} cores, {users:,} users a call, the median call; nothing is left out as seen."]
    return Outcome(
        [Table(["what", "system", "M pairs/s", "nightrank is"], rows)], {"pairs_a_second": rates}, floors, notes=notes
    )


def _products(setting: Setting, shape: tuple[int, int, int], users: int, window: float) -> tuple[str, dict[str, float]]:
    """Pairs a second by system; NaN for a system that is not installed."""
    factors, titles, k = shape
    model = models.folder_of(models.make_vectors, setting.scratch, users, titles, factors)
    vectors = model.parent
    ours = in_new_process(kernel_answers, model, COMPARED, titles, k)
    answers = vectors / "answers.npy"

    def implicit() -> Sequence[float]:
        assert setting.peers
        given = [vectors / "users.npy", vectors / "titles.npy", k, len(cores()), window, answers]
        rates = []
        # Its threads call OpenBLAS, which may use threads too. Sometimes that is faster, sometimes they collide.
        for variables in ({}, {"OPENBLAS_NUM_THREADS": "1"}):
            found = environment.run(setting.peers, "implicit_script.py", *given, variables=variables)
            check_alike("implicit", ours, np.load(answers))
            rates.append(found["pairs_a_second"])
        return [1 / max(rates)]

    def brute_force() -> Sequence[float]:
        rate, first = in_new_process(in_tensorflow.brute_force, vectors, users, k, window)
        check_alike("BruteForce", ours, first)
        return [1 / rate]

    measurements = {
        "nightrank": lambda: [1 / in_new_process(kernel_rate, None, model, users, titles, k, window)],
        **({"implicit": implicit} if setting.peers else {}),
        "TFRS BruteForce": brute_force,
    }
    seconds = in_turn(measurements, setting.turns)
    rates = {name: 1 / taken[0] for name, taken in seconds.items()}
    return f"{factors} factors x {titles:,} titles, top {k}", {"implicit": math.nan, **rates}


def _dense(setting: Setting, window: float) -> tuple[str, dict[str, float]]:
    """Dense layers with random weights, so that every pair is scored in full, against Keras's `predict` on pairs."""
    users, titles = setting.size((2_048, 1_664), (256, 200))
    model = models.folder_of(models.make_model, setting.scratch, users, titles)
    few = setting.size(400, 50)
    seconds = in_turn(
        {
            "nightrank": lambda: [1 / in_new_process(kernel_rate, None, model, users, titles, TOP_N, window)],
            "Keras predict on pairs": lambda: [1 / in_new_process(in_tensorflow.keras_predict, few, titles, window)],
        },
        setting.turns,
    )
    rates = {name: 1 / taken[0] for name, taken in seconds.items()}
    return f"dense layers, random weights, {titles:,} titles", rates


def check_alike(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Raises RuntimeError if two systems disagree on the k best, whatever their order. Then speed means nothing."""
    shared = np.mean([len(np.intersect1d(*pair)) / len(pair[0]) for pair in zip(ours, theirs, strict=True)])
    if shared < AGREE:
        raise RuntimeError(f"{name} and Nightrank have {100 * shared:.1f}% of the best in common: not the same task")
