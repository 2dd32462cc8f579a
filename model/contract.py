"""The names that the stages agree on: columns, files, signatures. Standard library only, so any stage may import it."""

from __future__ import annotations

from collections.abc import Mapping

USER_ID = "user_id"
MOVIE_TITLE = "movie_title"
USER_RATING = "user_rating"
TIMESTAMP = "timestamp"
SEEN = "seen"
USER_VECTOR = "user_vector"
KNOWN = "known"

MODEL_FILE = "model.json"
"""Written last into a model's folder; describes the SavedModel beside it."""

CARD_FILE = "model_card.html"
"""Beside `model.json`, for people; no part of the SavedModel."""

TRAINING_FOLDER = "training"
"""History, learning curve and TensorBoard logs, inside the model's folder but no part of the SavedModel."""

USER_VECTORS_FOLDER = "user_vectors"
"""The vectors of users as Parquet, inside the folder of a model that does not hold them; no part of the SavedModel."""

VECTORS_OF = "vectors_of"
"""In the metadata of a Parquet file with vectors of users: the version of the model that they are of."""

SERVING_SIGNATURE = "serving_default"
"""`user_id: string[B]`, `movie_title: string[B]` -> `user_rating: float32[B]`."""

RECOMMEND_SIGNATURE = "recommend"
"""`user_id: string[B]`, `candidates: string[M]`, `seen_values: int32[S]`, `seen_row_splits: int64[B+1]`, `k: int32` ->
`index: int32[B, k]` and `score: float32[B, k]`."""

RECOMMEND_RATED_SIGNATURE = "recommend_rated"
"""As `recommend`, and beside what that gives `user_rating: float32[B, k]`, the predicted rating of each, which means
nothing where the index is -1, and `known: bool[B]`, whether the user was among those the model was trained on."""

RECOMMEND_VECTORS_SIGNATURE = "recommend_vectors"
"""As `recommend_rated`, with `user_vector: float32[B, W]` in place of `user_id`, and without `known`."""

UNKNOWN_USER_SIGNATURE = "unknown_user"
"""Nothing -> `user_vector: float32[1, W]`, what stands for users without a vector of their own."""

_SHARED = frozenset({"candidates", "seen_values", "seen_row_splits", "k"})

SIGNATURES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    SERVING_SIGNATURE: (frozenset({USER_ID, MOVIE_TITLE}), frozenset({USER_RATING})),
    RECOMMEND_SIGNATURE: (_SHARED | {USER_ID}, frozenset({"index", "score"})),
    RECOMMEND_RATED_SIGNATURE: (_SHARED | {USER_ID}, frozenset({"index", "score", USER_RATING, KNOWN})),
}
"""Input and output names of each signature."""

VECTOR_SIGNATURES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    RECOMMEND_VECTORS_SIGNATURE: (_SHARED | {USER_VECTOR}, frozenset({"index", "score", USER_RATING})),
    UNKNOWN_USER_SIGNATURE: (frozenset(), frozenset({USER_VECTOR})),
}
"""Likewise, of those that are needed where users come with their vectors."""

SCORE_KINDS = ("rating", "relevance")
