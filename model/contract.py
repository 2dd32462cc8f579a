"""The names that all stages share: columns, files, signatures. Needs the standard library alone."""

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
"""Describes the SavedModel in the same folder; written last."""

CARD_FILE = "model_card.html"
"""The model card, in the model's folder; not part of the SavedModel."""

TRAINING_FOLDER = "training"
"""Learning curve and TensorBoard logs, in the model's folder; not part of the SavedModel."""

USER_VECTORS_FOLDER = "user_vectors"
"""Users' vectors as Parquet, in the folder of a model that does not hold them; not part of the SavedModel."""

VECTORS_OF = "vectors_of"
"""Key in the metadata of a Parquet file with users' vectors: the version of the model that they belong to."""

SERVING_SIGNATURE = "serving_default"
"""`user_id: string[B]`, `movie_title: string[B]` -> `user_rating: float32[B]`."""

RECOMMEND_SIGNATURE = "recommend"
"""`user_id: string[B]`, `candidates: string[M]`, `seen_values: int32[S]`, `seen_row_splits: int64[B+1]`, `k: int32` ->
`index: int32[B, k]` and `score: float32[B, k]`."""

RECOMMEND_RATED_SIGNATURE = "recommend_rated"
"""`recommend` with two more outputs: `user_rating: float32[B, k]`, the predicted ratings, which mean nothing where the
index is -1; and `known: bool[B]`, whether the model was trained on interactions of the user."""

RECOMMEND_VECTORS_SIGNATURE = "recommend_vectors"
"""`recommend_rated` with `user_vector: float32[B, W]` in place of `user_id`, and without `known`."""

UNKNOWN_USER_SIGNATURE = "unknown_user"
"""No input -> `user_vector: float32[1, W]`, the vector for users who have none of their own."""

_SHARED = frozenset({"candidates", "seen_values", "seen_row_splits", "k"})

SIGNATURES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    SERVING_SIGNATURE: (frozenset({USER_ID, MOVIE_TITLE}), frozenset({USER_RATING})),
    RECOMMEND_SIGNATURE: (_SHARED | {USER_ID}, frozenset({"index", "score"})),
    RECOMMEND_RATED_SIGNATURE: (_SHARED | {USER_ID}, frozenset({"index", "score", USER_RATING, KNOWN})),
}
"""For each signature, the names of its inputs and of its outputs."""

VECTOR_SIGNATURES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    RECOMMEND_VECTORS_SIGNATURE: (_SHARED | {USER_VECTOR}, frozenset({"index", "score", USER_RATING})),
    UNKNOWN_USER_SIGNATURE: (frozenset(), frozenset({USER_VECTOR})),
}
"""The same for the signatures that are needed when users come with their vectors."""

SCORE_KINDS = ("rating", "relevance")
