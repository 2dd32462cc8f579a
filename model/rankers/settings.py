"""How each kind of model is made and fitted. No TensorFlow here: flags are checked before its import is paid for.

Every value is checked when settings are made; what cannot be used raises `InputError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from model.cli import InputError


def _at_least(least: int, settings: object, *names: str) -> None:
    """Check numbers and tuples of numbers, which must have at least one element."""
    for name in names:
        value = getattr(settings, name)
        values = value if isinstance(value, tuple) else (value,)
        if not (values and all(number >= least for number in values)):
            raise _refuse(settings, name, f"at least {least}")


def _above_zero(settings: object, *names: str) -> None:
    for name in names:
        if not getattr(settings, name) > 0:
            raise _refuse(settings, name, "a number above 0")


def _share(settings: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise _refuse(settings, name, "a number from 0 to 1")


def _refuse(settings: Any, name: str, wanted: str) -> InputError:
    return InputError(f"{type(settings).__name__}: {name} is {getattr(settings, name)}; give {wanted}")


@dataclass(frozen=True)
class ArticleSettings:
    """The article's ranking model: two embeddings and dense layers."""

    epochs: int
    l2: float = 0.0
    """Weight in the loss of the squared norm of each hidden layer's kernel."""
    embedding_dimension: int = 32
    hidden_units: tuple[int, ...] = (256, 64)
    learning_rate: float = 0.1
    """Of Adagrad (Duchi, Hazan and Singer 2011)."""
    batch_size: int = 8_192

    def __post_init__(self) -> None:
        _at_least(1, self, "epochs", "embedding_dimension", "hidden_units", "batch_size")
        _at_least(0, self, "l2")
        _above_zero(self, "learning_rate")


@dataclass(frozen=True)
class RatingSettings:
    """The rating model: variational matrix factorization. `nightrank tune` found the defaults."""

    members: int = 8
    """S. The members are fitted side by side from different starting values, and their ratings are averaged."""
    factors: int = 10
    """D. The fit shrinks the factors that it has no use for to zero."""
    co_occurrence: tuple[int, ...] = (8, 16, 24, 32)
    """How many co-occurrence features of titles each member gets, in turn; see `rankers.rating.co_occurrence`. With
    more features a member knows more and is misled more. Members that differ average better than members that do not.
    """
    epochs: int = 25
    warm_up: float = 0.4
    """The share of the epochs over which the weight of the prior rises to 1. At full weight from the start it shrinks
    factors before they have learned anything (Sonderby et al., "Ladder variational autoencoders", 2016)."""
    learning_rate: float = 0.05
    """Of Adam at its start; it falls to a twentieth along a cosine."""
    batch_size: int = 8_192
    max_steps: int = 40
    """At most this many steps in an epoch. Batches grow where there are more interactions, because the cost of a step
    depends on the number of users and titles."""
    initial_scale: float = 0.1
    """Standard deviation of the starting values of the means."""

    def __post_init__(self) -> None:
        _at_least(1, self, "members", "factors", "epochs", "batch_size", "max_steps")
        _at_least(0, self, "co_occurrence")
        _share(self, "warm_up")
        _above_zero(self, "learning_rate", "initial_scale")

    def batch_size_for(self, rows: int) -> int:
        """The size of a batch where there are `rows` interactions."""
        return max(self.batch_size, -(-rows // self.max_steps))


@dataclass(frozen=True)
class SequentialEaseSettings:
    """The vectors of titles and histories; `rankers.relevance.sequential_ease` has the formulas."""

    dimension: int = 96
    """D, the rank of the matrix of title weights."""
    l2: float = 200.0
    half_distance: float = 20.0
    """Number of interactions between two titles of a history at which their pair counts half."""
    far_weight: float = 0.1
    """What a pair counts however far apart its titles are, within `window`; 1 lets all pairs count the same."""
    window: int = 200
    """Pairs that are further apart than this do not count."""
    half_life: float = 4.0
    """Number of later interactions after which a title of a history weighs half."""
    old_weight: float = 0.1
    """What a title of a history weighs however old it is; 1 lets all titles weigh the same."""
    max_titles: int = 20_000
    """How many titles get vectors of their own, the most popular ones. The matrix of title weights has the square of
    this many entries, 1.6 GiB as float32. Side data describe the other titles."""

    def __post_init__(self) -> None:
        _at_least(1, self, "dimension", "window", "max_titles")
        _above_zero(self, "l2", "half_distance", "half_life")
        _share(self, "far_weight", "old_weight")


@dataclass(frozen=True)
class RelevanceSettings:
    """The model of relevance: sequential EASE, two towers for side data, and a rating model beside them."""

    sequential_ease: tuple[SequentialEaseSettings, ...] = (
        SequentialEaseSettings(),
        SequentialEaseSettings(half_life=10.0, old_weight=0.3, half_distance=50.0, far_weight=0.3),
        SequentialEaseSettings(half_life=20.0, old_weight=0.6, half_distance=100.0, far_weight=0.7),
        SequentialEaseSettings(old_weight=1.0, far_weight=1.0, window=1_000, l2=400.0, dimension=64),
    )
    """The options from which the interactions choose. They range from a history whose last titles say what comes next
    to one whose order says nothing."""
    rating: RatingSettings = field(default_factory=lambda: RatingSettings(members=4))
    """The rating model, with half of the usual members because the length of a vector grows with them."""
    epochs: int = 4
    """Passes over the interactions to train the towers. Sequential EASE is in closed form and takes none."""
    learning_rate: float = 0.05
    """Of Adam."""
    user_step: float = 0.05
    """Scale of the user tower's output, in units of the components of users' vectors. A larger one learns from chance
    what a few similar users watched: at 1, users with side data alone are served worse than by popularity."""
    batch_size: int = 2_048
    temperature: float = 2.0
    """Divides the scores in the softmax, after the root mean square of the scores of sequential EASE."""
    user_dropout: float = 0.5
    title_dropout: float = 0.2
    """Shares of the examples in which the tower's output takes the place of the vector."""
    feature_dropout: float = 0.2
    """Share of the examples in which the tower gets no side data."""
    user_prior: float = 1.0
    title_prior: float = 1.0
    """Number of interactions at which the tower's vector weighs half."""

    def __post_init__(self) -> None:
        _at_least(1, self, "epochs", "batch_size")
        _above_zero(self, "learning_rate", "user_step", "temperature", "user_prior", "title_prior")
        _share(self, "user_dropout", "title_dropout", "feature_dropout")
        if not self.sequential_ease:
            raise InputError("RelevanceSettings: sequential_ease is empty; give at least one SequentialEaseSettings")


Settings: TypeAlias = ArticleSettings | RatingSettings | RelevanceSettings

MODELS: Mapping[str, Settings] = {
    "basic": ArticleSettings(epochs=3),
    "tuned": ArticleSettings(epochs=50, l2=0.01),
    "rating": RatingSettings(),
    "relevance": RelevanceSettings(),
}
"""The settings of each kind of model by its name; `basic` and `tuned` are the models of the article."""

DEFAULT_SPLITS: Mapping[str, str] = {"basic": "time", "tuned": "time", "rating": "time", "relevance": "last_n"}
"""The split that each kind is measured on by default: ratings as in the article, lists by what users watch next."""


def with_epochs(settings: Settings, epochs: int | None) -> Settings:
    """`settings` with another number of epochs; unchanged for None."""
    return settings if epochs is None else replace(settings, epochs=epochs)
