"""The plain answer that every fast path must equal: NumPy, pair by pair, no blocks and no tricks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from model.retrieval.dense_recommender import DenseWeights


def best(scores: np.ndarray, seen: Sequence[Sequence[int]], k: int) -> list[list[int]]:
    """Indices of each user's k best unseen candidates: higher scores first, equal scores by index.

    `scores` is `float[B, M]`, and `seen` is a list of indices for each of the B users. A user with fewer than k
    candidates left gets a shorter list.
    """
    answer = []
    for row, hidden in zip(scores, seen, strict=True):
        left = [index for index in range(len(row)) if index not in set(hidden)]
        answer.append(sorted(left, key=lambda index: (-row[index], index))[:k])
    return answer


def ratings(weights: DenseWeights, users: Sequence[str], titles: Sequence[str]) -> np.ndarray:
    """The predicted rating of every pair, `float64[B, M]`, from concatenated embeddings as in the article."""
    user_rows = [list(weights.user_ids).index(user) + 1 if user in weights.user_ids else 0 for user in users]
    title_rows = [
        list(weights.movie_titles).index(title) + 1 if title in weights.movie_titles else 0 for title in titles
    ]
    answer = np.empty((len(users), len(titles)))
    for b, user in enumerate(user_rows):
        for m, title in enumerate(title_rows):
            layer = np.concatenate([weights.user_embedding[user], weights.title_embedding[title]]).astype(np.float64)
            for kernel, bias in zip(weights.kernels[:-1], weights.biases[:-1], strict=True):
                layer = np.maximum(layer @ kernel + bias, 0)
            answer[b, m] = (layer @ weights.kernels[-1] + weights.biases[-1])[0]
    return answer


def random_weights(
    users: int, titles: int, rng: np.random.Generator, hidden: tuple[int, ...] = (16, 8)
) -> DenseWeights:
    """A small ranker with the article's layout and random weights. User 3 is `u3`, title 5 is `t5`."""

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    sizes = (8, *hidden, 1)
    return DenseWeights(
        user_ids=[f"u{i}" for i in range(users)],
        movie_titles=[f"t{i}" for i in range(titles)],
        user_embedding=draw(users + 1, 4),
        title_embedding=draw(titles + 1, 4),
        kernels=[draw(a, b) for a, b in itertools.pairwise(sizes)],
        biases=[draw(b) for b in sizes[1:]],
        known=np.arange(users + 1) > 0,
    )
