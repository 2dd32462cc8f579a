"""How each kind of model is made and fitted. No TensorFlow here: flags are checked before its import is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from model.cli import InputError
from model.rankers.relevance.sequential_ease import Closeness


@dataclass(frozen=True)
class RatingSettings:
    """What a rating model is made with and how it is fitted; the defaults were chosen by `python -m model.tune`."""

    members: int = 8
    """S, fitted side by side from different starts; the average of their ratings is what counts."""
    factors: int = 10
    """D; the fit closes those it has no use for."""
    co_watching: tuple[int, ...] = (8, 16, 24, 32)
    """Side features of titles by who watched them, see `rankers.rating.co_occurrence`, that members are told. With
    more of them a member knows more and is misled more; those that differ average better than those that do not."""
    epochs: int = 25
    warm_up: float = 0.4
    """The share of the epochs over which the prior's weight rises to 1; at full weight from the start it closes
    factors before they have learned anything (Sonderby et al., "Ladder variational autoencoders", 2016)."""
    learning_rate: float = 0.05
    """Of Adam at its start; falls to a twentieth along a cosine."""
    batch_size: int = 8_192
    most_steps: int = 40
    """An epoch; of more interactions the batches are larger, as every step costs what there are users and titles."""
    initial_scale: float = 0.1
    """Deviation of the means' starting values."""

    def __post_init__(self) -> None:
        _check_epochs(self.epochs)
        if min(self.co_watching, default=-1) < 0:
            raise InputError(f"{self}: co_watching must be numbers of at least 0, one or more")
        if min(self.members, self.factors, self.batch_size) < 1:
            raise InputError(f"{self}: members, factors and batch_size must be at least 1")

    def batch_of(self, rows: int) -> int:
        """The size of a batch of so many rows in all."""
        return max(self.batch_size, -(-rows // self.most_steps))


@dataclass(frozen=True)
class RelevanceSettings:
    """How the ranker by relevance is made and fitted."""

    closeness: tuple[Closeness, ...] = (
        Closeness(),
        Closeness(half_life=10.0, kept=0.3, near=50.0, far=0.3),
        Closeness(half_life=20.0, kept=0.6, near=100.0, far=0.7),
        Closeness(kept=1.0, far=1.0, window=1_000, l2=400.0, dimension=64),
    )
    """From what is watched next being told by what was watched last, to order telling nothing; the interactions choose.
    """
    rating: RatingSettings = field(default_factory=lambda: RatingSettings(members=4))
    """Of the ratings that it predicts beside; with half of the members, as vectors are as long as they are many."""
    epochs: int = 4
    """Of the towers; the vectors in closed form take none."""
    learning_rate: float = 0.05
    """Of Adam."""
    user_step: float = 0.05
    """Of the users' tower in units of the components of their vectors. Larger, and it takes chance for what users like
    these watch: at 1, those known by side data alone are served worse than by popularity."""
    batch_size: int = 2_048
    temperature: float = 2.0
    """Divides the scores in the softmax, after the root of the mean square of those of the vectors in closed form."""
    hidden_users: float = 0.5
    hidden_titles: float = 0.2
    """Shares of the examples in which a tower stands in."""
    hidden_features: float = 0.2
    """Share of the examples in which it is not told what is known."""
    user_prior: float = 1.0
    title_prior: float = 1.0
    """Interactions at which a tower counts as much as the vector in closed form counts after that."""

    def __post_init__(self) -> None:
        _check_epochs(self.epochs)


@dataclass(frozen=True)
class Hyperparameters:
    """What a ranking model is made with and how it is fitted."""

    kind: str
    epochs: int
    l2: float = 0.0
    """Weight of the squared norm of each hidden layer's kernel in the loss."""
    embedding_dimension: int = 32
    hidden_units: tuple[int, ...] = (256, 64)
    learning_rate: float = 0.1
    """Of Adagrad (Duchi, Hazan and Singer 2011)."""
    batch_size: int = 8_192

    def __post_init__(self) -> None:
        _check_epochs(self.epochs)


def with_epochs(settings: Settings, epochs: int | None) -> Settings:
    """The same with another number of epochs; unchanged for None."""
    return settings if epochs is None else replace(settings, epochs=epochs)


def _check_epochs(epochs: int) -> None:
    if epochs < 1:
        raise InputError(f"--epochs is {epochs}; give a whole number of at least 1")


Settings: TypeAlias = Hyperparameters | RatingSettings | RelevanceSettings

MODELS: Mapping[str, Settings] = {
    "basic": Hyperparameters("basic", epochs=3),
    "tuned": Hyperparameters("tuned", epochs=50, l2=0.01),
    "rating": RatingSettings(),
    "relevance": RelevanceSettings(),
}
"""By the name that `--model` takes; `basic` and `tuned` are the models of the article."""

DEFAULT_SPLITS: Mapping[str, str] = {"basic": "time", "tuned": "time", "rating": "time", "relevance": "last_n"}
"""What each kind is measured on where nothing is said: ratings as the article does, lists by what users watch next."""
