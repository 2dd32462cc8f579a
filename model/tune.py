"""Search the settings of a kind of model on the validation part of a split, and print a table of what was tried.

The test part is neither fitted to nor measured:

    python -m model.tune --kind rating --dataset /data/ml-100k --split time --trials 12
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from model.cli import FlagParser, InputError, run
from model.data.splits import Split
from model.dataset_flags import add_dataset_flags, add_split_flags, read_dataset, split_dataset
from model.rankers.relevance.sequential_ease import Closeness, foretell
from model.rankers.settings import DEFAULT_SPLITS, RatingSettings
from model.tensorflow_start import import_tensorflow

Grid = Mapping[str, Sequence[Any]]
"""By the name of a setting, the values to try."""


@dataclass(frozen=True)
class Search:
    """How one kind of model is searched."""

    settings: Any
    """A frozen dataclass, where the search starts; its fields are what `grid` varies."""
    grid: Grid
    measure: Callable[[Any, Split, int], float]
    """`(settings, split, seed)` -> what is to be as small as can be, on the validation part."""
    name: str
    """Of what is measured."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried."""

    changed: Mapping[str, Any]
    """What differs from the start, by name."""
    values: Sequence[float]
    """On validation, one a seed."""
    seconds: float
    """For all seeds."""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.values))


def validation_rmse(settings: RatingSettings, split: Split, seed: int) -> float:
    """Of ratings, after the last epoch."""
    from model.data.vocabulary import Vocabulary
    from model.rankers.rating.factorization import fit_rating

    vocabulary = Vocabulary.of(pa.concat_tables([split.train, split.validation]))
    # Keras reports its epochs on standard output, which is for the table.
    with contextlib.redirect_stdout(sys.stderr):
        _, history = fit_rating(split.train, split.validation, vocabulary, settings, seed, None)
    return history["val_rmse"][-1]


def unforetold(settings: Closeness, split: Split, seed: int) -> float:
    """What is missing of NDCG@10 on each user's last interactions of the train part, by those before them."""
    from model.rankers.relevance.next_title import histories_of

    users, titles = (pa.array(words, pa.string()) for words in _words(split.train))
    return 1 - foretell(histories_of(split.train, users, titles), settings, seed)


def _words(table: pa.Table) -> tuple[list[str], list[str]]:
    from model.data.vocabulary import Vocabulary

    vocabulary = Vocabulary.of(table)
    return list(vocabulary.users), list(vocabulary.titles)


SEARCHES: Mapping[str, Search] = {
    "rating": Search(
        RatingSettings(),
        {
            "members": (1, 2, 4, 8),
            "factors": (7, 10, 14, 20),
            "co_watching": ((0,), (8,), (16,), (32,), (8, 16, 24, 32)),
            "epochs": (15, 25, 40),
            "warm_up": (0.2, 0.4, 0.6),
            "learning_rate": (0.02, 0.03, 0.05, 0.08),
            "batch_size": (4_096, 8_192, 16_384),
        },
        validation_rmse,
        "RMSE",
    ),
    "relevance": Search(
        Closeness(),
        {
            "dimension": (64, 96, 128, 192),
            "l2": (100.0, 200.0, 400.0),
            "near": (5.0, 10.0, 20.0, 50.0),
            "far": (0.0, 0.05, 0.1, 0.3, 1.0),
            "half_life": (2.0, 3.0, 4.0, 6.0, 10.0),
            "kept": (0.0, 0.05, 0.1, 0.2, 0.3, 1.0),
        },
        unforetold,
        "1 - NDCG@10",
    ),
}
"""By the name that `--kind` takes."""


def candidates(settings: Any, grid: Grid, trials: int, seed: int) -> list[Mapping[str, Any]]:
    """What to try: nothing changed, and then `trials` of the grid, drawn at random (Bergstra and Bengio 2012).

    Odd draws change one setting and even ones all of them: the first kind says which setting matters, the second finds
    what only works together. None comes twice; fewer come where the grid is smaller.
    """
    unknown = set(grid) - {field.name for field in fields(settings)}
    if unknown:
        raise ValueError(f"no settings of {type(settings).__name__}: {sorted(unknown)}")
    random = np.random.default_rng(seed)
    tried: list[Mapping[str, Any]] = [{}]
    # A grid may be smaller than the number of trials; a draw that has come before is not worth waiting for for ever.
    for draw in range(100 * trials):
        if len(tried) > trials:
            break
        names = [str(random.choice(list(grid)))] if draw % 2 == 0 else list(grid)
        drawn = {name: grid[name][int(random.integers(len(grid[name])))] for name in names}
        changed = {name: value for name, value in drawn.items() if value != getattr(settings, name)}
        if changed not in tried:
            tried.append(changed)
    return tried


def search(kind: Search, split: Split, trials: int, seeds: Sequence[int]) -> list[Trial]:
    """Measure every candidate with every seed; best first, of equals the one tried first."""
    done = []
    for changed in candidates(kind.settings, kind.grid, trials, seeds[0]):
        settings, start = replace(kind.settings, **changed), time.monotonic()
        values = [kind.measure(settings, split, seed) for seed in seeds]
        done.append(Trial(changed, values, time.monotonic() - start))
        print(_row(done[-1]), file=sys.stderr, flush=True)
    return sorted(done, key=lambda trial: trial.mean)


def as_text(trials: Sequence[Trial], name: str) -> str:
    """A Markdown table, a trial a line."""
    head = [f"| settings changed | validation {name}, mean over seeds | spread | seconds a fit |", "|---|---|---|---|"]
    return "\n".join(head + [_row(trial) for trial in trials])


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m model.tune", description="Search a model's settings on validation rows.")
    parser.add_argument("--kind", choices=list(SEARCHES), default="rating", help="what kind of model to search")
    parser.add_argument("--trials", type=int, default=12, help="how many settings to try beside the defaults")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to fit each with")
    parser.add_argument("--seed", type=int, default=0, help="the first of them, of a random split and of the search")
    add_dataset_flags(parser)
    add_split_flags(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Print the table to standard output."""
    args = build_parser().parse_args(argv)
    for name in ("trials", "seeds"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: give a whole number from 1")
    split = split_dataset(read_dataset(args).table, args, DEFAULT_SPLITS[args.kind])
    # The ranker by relevance is measured on the end of each history in the train part.
    if not split.train.num_rows or (args.kind == "rating" and not split.validation.num_rows):
        raise InputError(f"--split {split.name} leaves train or validation without rows; give another, such as random")
    import_tensorflow()
    kind = SEARCHES[args.kind]
    print(as_text(search(kind, split, args.trials, range(args.seed, args.seed + args.seeds)), kind.name))


def _row(trial: Trial) -> str:
    changed = ", ".join(f"{name} {value}" for name, value in trial.changed.items()) or "none"
    spread = max(trial.values) - min(trial.values)
    return f"| {changed} | {trial.mean:.4f} | {spread:.4f} | {trial.seconds / len(trial.values):.0f} |"


if __name__ == "__main__":
    run(main)
