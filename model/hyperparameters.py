"""How each kind of model is made and fitted. No TensorFlow here: flags are checked before its import is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from model.cli import InputError


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
