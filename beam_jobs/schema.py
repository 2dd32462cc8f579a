"""The tables that the jobs read and write, as Arrow schemas."""

from __future__ import annotations

import pyarrow as pa

from model.contract import MOVIE_TITLE, SEEN, USER_ID

USERS = pa.schema([(USER_ID, pa.string()), (SEEN, pa.list_(pa.string()))])
"""One row a user; `seen` holds the distinct titles the user has interacted with, oldest first."""

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

SOURCE_MODEL = "model"
SOURCE_COLD_START = "cold_start"
