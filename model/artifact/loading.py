"""The signatures of an exported model as functions of arrays. Needs TensorFlow, but no code of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from model.contract import MOVIE_TITLE, RECOMMEND_SIGNATURE, SERVING_SIGNATURE, USER_ID, USER_RATING
from model.evaluation.top_n import Recommend
from model.metrics.rating import Predictor

Signature = Callable[..., Mapping[str, Any]]


def load_functions(folder: Path) -> tuple[Predictor, Recommend]:
    """Load the SavedModel in `folder`: the functions that predict ratings and recommend."""
    signatures = tf.saved_model.load(str(folder)).signatures
    return predictor(signatures[SERVING_SIGNATURE]), recommender(signatures[RECOMMEND_SIGNATURE])


def predictor(serving: Signature) -> Predictor:
    """The `serving_default` signature, or the function behind it, as a `Predictor`."""

    def predict(user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        pairs = {USER_ID: tf.constant(user_id, tf.string), MOVIE_TITLE: tf.constant(movie_title, tf.string)}
        return serving(**pairs)[USER_RATING].numpy()

    return predict


def recommender(recommend: Signature) -> Recommend:
    """The `recommend` signature, or the function behind it, as a `Recommend`."""

    def ask(
        user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> np.ndarray:
        answer = recommend(
            user_id=tf.constant(user_ids.to_numpy(False), tf.string),
            candidates=tf.constant(titles.to_numpy(False), tf.string),
            seen_values=tf.constant(seen_values, tf.int32),
            seen_row_splits=tf.constant(seen_row_splits, tf.int64),
            k=tf.constant(k, tf.int32),
        )
        return answer["index"].numpy()

    return ask
