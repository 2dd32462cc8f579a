"""The plain answer that every fast path must equal: NumPy, one pair at a time in spirit, no blocks and no tricks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from model.retrieval.dense_recommender import RankerWeights


def best(scores: np.ndarray, seen: Sequence[Sequence[int]], k: int) -> list[list[int]]:
    """Positions of each user's k best unseen candidates, by score falling and then position rising.

    `scores` is `float[B, M]` and `seen` a list of positions for each of the B users; a list of the answer is as short
    as what is left for its user.
    """
    answer = []
    for row, hidden in zip(scores, seen, strict=True):
        left = [place for place in range(len(row)) if place not in set(hidden)]
        answer.append(sorted(left, key=lambda place: (-row[place], place))[:k])
    return answer


def ratings(weights: RankerWeights, users: Sequence[str], titles: Sequence[str]) -> np.ndarray:
    """The predicted rating of every pair, `float64[B, M]`, from the concatenated embeddings as the article has it."""
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
) -> RankerWeights:
    """A small ranker with the article's shape and random weights; user 3 is `u3`, title 5 is `t5`."""

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    sizes = (8, *hidden, 1)
    return RankerWeights(
        user_ids=[f"u{i}" for i in range(users)],
        movie_titles=[f"t{i}" for i in range(titles)],
        user_embedding=draw(users + 1, 4),
        title_embedding=draw(titles + 1, 4),
        kernels=[draw(a, b) for a, b in itertools.pairwise(sizes)],
        biases=[draw(b) for b in sizes[1:]],
        known=np.arange(users + 1) > 0,
    )
