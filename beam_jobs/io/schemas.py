"""The tables that the jobs read and write, as Arrow schemas."""

from __future__ import annotations

import pyarrow as pa

from model.contract import KNOWN, MOVIE_TITLE, SEEN, USER_ID, USER_VECTOR

USERS = pa.schema([(USER_ID, pa.string()), (SEEN, pa.list_(pa.string()))])
"""One row for each user. `seen` holds the distinct titles that the user has interacted with, oldest first."""

USERS_WITH_VECTORS = pa.schema([*USERS, (USER_VECTOR, pa.list_(pa.float32())), (KNOWN, pa.bool_())])
"""`USERS` for a model that does not hold its users' vectors. `user_vector` and `known` are null for users that the
model has no vector of. `known` says whether the model was trained on any interaction of the user."""

CANDIDATES = pa.schema([(MOVIE_TITLE, pa.string())])
"""One row for each title, with side columns beside it. Where scores tie, the title that comes first here wins."""

RECOMMENDATIONS = pa.schema(
    [
        (USER_ID, pa.string()),
        ("rank", pa.int32()),
        (MOVIE_TITLE, pa.string()),
        ("score", pa.float32()),
        ("predicted_rating", pa.float32()),
        ("source", pa.string()),
        ("model_version", pa.string()),
    ]
)
"""One row for each recommendation. `rank` counts from 1 without gaps, best score first."""

ENCODED_RECOMMENDATIONS = pa.schema(
    [
        pa.field(field.name, pa.dictionary(pa.int32(), field.type) if pa.types.is_string(field.type) else field.type)
        for field in RECOMMENDATIONS
    ]
)
"""`RECOMMENDATIONS` in memory. Strings are dictionaries, because every one of them repeats. In a file both schemas are
the same."""

SOURCE_MODEL = "model"
SOURCE_COLD_START = "cold_start"
