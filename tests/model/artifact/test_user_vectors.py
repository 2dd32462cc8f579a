"""Users given by vectors get what users given by ids get, from saved models; and the vectors as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pyarrow import parquet

from model.artifact import user_vectors
from model.artifact.model_json import digests, sha256
from model.artifact.user_vectors import SCHEMA, write_user_vectors
from model.contract import VECTORS_OF
from model.retrieval import dense_recommender
from model.retrieval.dense_recommender import DenseRecommender, DenseWeights
from model.retrieval.dot_product_recommender import DotRecommender, DotWeights
from model.retrieval.signatures import Recommender
from tests import oracle
from tests.model.retrieval.test_dot_product_top_k import random_factors, weights

USERS = [f"u{number}" for number in range(7)]
TITLES = [*(f"t{number}" for number in range(11)), "unheard of"]


def dense() -> DenseWeights:
    made = oracle.random_weights(len(USERS), 11, np.random.default_rng(3))
    return replace(made, known=np.arange(len(USERS) + 1) % 3 > 0)


def by_rating() -> DotWeights:
    factors = random_factors(4)
    return weights(factors, factors)


KINDS: Mapping[str, tuple[type[Recommender], DenseWeights | DotWeights]] = {
    "basic": (DenseRecommender, dense()),
    "rating": (DotRecommender, by_rating()),
    "relevance": (DotRecommender, weights(random_factors(5), random_factors(6))),
}


def loaded(model: Recommender, folder: Path) -> Mapping:
    model.save(folder)
    return {"model": (module := tf.saved_model.load(str(folder))), **module.signatures}


@pytest.fixture(scope="module", params=[*KINDS, "basic, shortlisted"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A model, the same model without its users, and their vectors."""
    kind, made = KINDS[request.param.partition(",")[0]]
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        if "shortlisted" in request.param:
            for name, value in {
                "USERS_PER_BLOCK": 2,
                "MAX_CHUNK": 8,
                "ROW_MULTIPLE": 4,
                "MIN_CANDIDATES_PER_SHORTLISTED": 1,
            }.items():
                patch.setattr(dense_recommender, name, value)
            patch.setattr(dense_recommender, "MIN_PROVEN_SHARE", 0.0)
        inside, apart = loaded(kind(made), folder / "in"), loaded(kind(made.without_users()), folder / "apart")
    write_user_vectors(made, "v", folder)
    [path] = (folder / "user_vectors").iterdir()
    rows = parquet.read_table(path)
    vectors = dict(zip(rows["user_id"].to_pylist(), np.array(rows["user_vector"].to_pylist(), np.float32), strict=True))
    return inside, apart, vectors


def ask(model: Mapping, users: list[str], vectors: Mapping | None, k: int) -> list[np.ndarray]:
    """Indices, scores and ratings; asked by vectors where there are any."""
    seen = [list(range(number % 4)) for number in range(len(users))]
    candidates = tf.constant(TITLES)
    if vectors is None:
        suffix, who = "_rated", {"user_id": tf.constant(users, tf.string, [len(users)])}
    else:
        unknown = model["unknown_user"]()["user_vector"].numpy()
        given = [vectors.get(user, unknown[0]) for user in users]
        suffix, who = "_vectors", {"user_vector": tf.constant(given, tf.float32, [len(users), unknown.shape[1]])}
    best = model[f"recommend{suffix}"](
        **who,
        candidates=candidates,
        seen_values=tf.constant([place for row in seen for place in row], tf.int32),
        seen_row_splits=tf.constant(np.concatenate([[0], np.cumsum([len(row) for row in seen])]), tf.int64),
        k=tf.constant(k),
    )
    return [best[name].numpy() for name in ("index", "score", "user_rating")]


def known(model: Mapping) -> np.ndarray:
    """For each of `USERS`, whether the model knows the user."""
    nothing = {"seen_values": tf.zeros([0], tf.int32), "seen_row_splits": tf.zeros([len(USERS) + 1], tf.int64)}
    asked = {"user_id": tf.constant(USERS), "candidates": tf.constant(TITLES), "k": tf.constant(1)}
    return model["recommend_rated"](**asked, **nothing)["known"].numpy()


@pytest.mark.parametrize(
    "users",
    [USERS, ["u3"], [], ["stranger"], ["u6", "stranger", "u6", "u0", "another"], USERS * 20],
    ids=["all", "one", "none", "stranger", "some", "many"],
)
@pytest.mark.parametrize("k", [3, 20])
def test_users_by_their_vectors_get_the_same_bits(pair: tuple, users: list[str], k: int) -> None:
    inside, apart, vectors = pair
    expected = ask(inside, users, None, k)
    assert expected[0].shape == (len(users), k)
    for found in (ask(inside, users, vectors, k), ask(apart, users, vectors, k)):
        for name, got, wanted in zip(("index", "score", "rating"), found, expected, strict=True):
            given = expected[0] >= 0
            assert (got == wanted)[given].all(), name
            assert (found[0] == expected[0]).all()


def test_a_model_without_its_users_knows_nobody(pair: tuple) -> None:
    inside, apart, _ = pair
    assert not known(apart).any()
    assert known(inside).any()
    for found, wanted in zip(ask(apart, USERS, None, 3), ask(inside, ["stranger"] * 7, None, 3), strict=True):
        assert (found == wanted).all()


@pytest.mark.parametrize("kind", KINDS)
def test_files_have_every_user_in_row_groups_and_files_of_bounded_size(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_vectors, "ROWS_PER_FILE", 5)
    monkeypatch.setattr(user_vectors, "ROWS_PER_GROUP", 2)
    made = KINDS[kind][1]
    described = write_user_vectors(made, "basic-1", tmp_path)
    vectors = np.concatenate([table[1:] for table in made.user_tables], axis=1)
    assert described["width"] == vectors.shape[1] == {"basic": 4, "rating": 6, "relevance": 12}[kind]
    assert list(described["files"]) == ["user_vectors/part-00000.parquet", "user_vectors/part-00001.parquet"]
    ids, found, known = [], [], []
    for name, digest in described["files"].items():
        file = parquet.ParquetFile(tmp_path / name)
        assert sha256(tmp_path / name) == digest
        assert file.schema_arrow.equals(SCHEMA)
        assert file.metadata.metadata[VECTORS_OF.encode()] == b"basic-1"
        assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) == 2
        rows = file.read()
        ids += rows["user_id"].to_pylist()
        found += rows["user_vector"].to_pylist()
        known += rows["known"].to_pylist()
    assert ids == USERS
    assert (np.array(found, np.float32) == vectors).all()
    assert known == made.known[1:].tolist()
    assert digests(tmp_path) == {}
