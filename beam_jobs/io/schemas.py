"""The tables that the jobs read and write, as Arrow schemas."""

from __future__ import annotations

import pyarrow as pa

from model.contract import KNOWN, MOVIE_TITLE, SEEN, USER_ID, USER_VECTOR

USERS = pa.schema([(USER_ID, pa.string()), (SEEN, pa.list_(pa.string()))])
"""One row a user; `seen` holds the distinct titles the user has interacted with, oldest first."""

USERS_WITH_VECTORS = pa.schema([*USERS, (USER_VECTOR, pa.list_(pa.float32())), (KNOWN, pa.bool_())])
"""The same for a model that does not hold its users' vectors; null where it has none of a user. `known` says whether
the model was trained on any of the user's interactions."""

CANDIDATES = pa.schema([(MOVIE_TITLE, pa.string())])
"""One row a title, side columns beside it. A title's position in the table breaks ties of score."""

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
"""One row a recommendation: `rank` from 1 without gaps, best score first."""

ENCODED_RECOMMENDATIONS = pa.schema(
    [
        pa.field(field.name, pa.dictionary(pa.int32(), field.type) if pa.types.is_string(field.type) else field.type)
        for field in RECOMMENDATIONS
    ]
)
"""The same in memory: every string repeats, so rows hold numbers. In a file both are the same."""

SOURCE_MODEL = "model"
SOURCE_COLD_START = "cold_start"
