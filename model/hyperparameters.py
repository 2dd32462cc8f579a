"""How each kind of model is made and fitted. No TensorFlow here: flags are checked before its import is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from model.cli import InputError
from model.closeness import Closeness


@dataclass(frozen=True)
class RelevanceSettings:
    """How the ranker by relevance is made and fitted."""

    closeness: Closeness = field(default_factory=Closeness)
    epochs: int = 4
    """Of the towers; the vectors in closed form take none."""
    learning_rate: float = 0.05
    """Of Adam."""
    batch_size: int = 2_048
    temperature: float = 0.05
    """Divides the scores in the softmax; vectors in closed form have scores of some hundredths."""
    hidden_users: float = 0.5
    hidden_titles: float = 0.2
    """Shares of the examples in which a tower stands in."""
    hidden_features: float = 0.2
    """Share of the examples in which it is not told what is known."""
    user_prior: float = 1.0
    title_prior: float = 1.0
    """Interactions at which a tower counts as much as the vector in closed form counts after that."""


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
        if self.epochs < 1:
            raise InputError(f"--epochs is {self.epochs}; give a whole number of at least 1")

    def with_epochs(self, epochs: int | None) -> Hyperparameters:
        """The same with another number of epochs; unchanged for None."""
        return self if epochs is None else replace(self, epochs=epochs)


MODELS: Mapping[str, Hyperparameters] = {
    "basic": Hyperparameters("basic", epochs=3),
    "tuned": Hyperparameters("tuned", epochs=50, l2=0.01),
}
"""The models of the article, by the name that `--model` takes."""
