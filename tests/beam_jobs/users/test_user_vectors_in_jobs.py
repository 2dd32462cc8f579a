"""Vectors of users from beside the model into the users table, and from there into scores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs import prepare, score
from beam_jobs.io.footer import read_footer
from beam_jobs.io.schemas import USERS, USERS_WITH_VECTORS
from beam_jobs.io.storage import copy_folder, size_below
from beam_jobs.pipeline.options import parse_flags
from beam_jobs.scoring.exported_model import check_model
from beam_jobs.users.user_vectors import VECTORS, as_matrix, find_vectors, join_vectors
from model.artifact import user_vectors
from model.cli import InputError
from tests import jobs
from tests.beam_jobs.test_prepare import counts
from tests.beam_jobs.test_score import command, read, report
from tests.object_store import ObjectStore

ABSENT = ("u7", "u30", "u31")
"""Users that the model knows, without interactions."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its vectors inside, the same with them apart in several files, and interactions."""
    folder = tmp_path_factory.mktemp("work")
    jobs.write_model(folder / "inside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user_vectors, "ROWS_PER_FILE", 17)
        patch.setattr(user_vectors, "ROWS_PER_GROUP", 5)
        jobs.write_model(folder / "apart", apart=True)
    rows = [(user, title) for user, seen in jobs.some_users() for title in [*seen, "t0"] if user not in ABSENT]
    columns = [list(column) for column in zip(*rows, strict=True)]
    table = pa.table(
        [*columns, pa.array([3.0] * len(rows), pa.float32()), range(len(rows))],
        names=["user_id", "movie_title", "user_rating", "timestamp"],
    )
    parquet.write_table(table, folder / "ratings.parquet")
    return folder


def run_prepare(work: Path, output: Path, *flags: str) -> list[pa.Table]:
    prepare.main(["--dataset", str(work / "ratings.parquet"), "--output", str(output), *flags])
    return [parquet.read_table(path) for path in sorted((output / "users").iterdir())]


@pytest.fixture(scope="module")
def prepared(work: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tables with the vectors, and tables without."""
    with_vectors, without = (tmp_path_factory.mktemp("prepared") for _ in range(2))
    run_prepare(work, with_vectors, f"--with_vectors={work / 'apart'}")
    run_prepare(work, without)
    return with_vectors, without


@pytest.mark.parametrize("partitions", [1, 5, 60])
def test_every_user_gets_the_vector_of_its_own(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], partitions: int
) -> None:
    monkeypatch.setattr(prepare, "partitions_for", lambda *_: partitions)
    without = pa.concat_tables(run_prepare(work, tmp_path / "without"))
    capsys.readouterr()
    found = run_prepare(work, tmp_path / "with", f"--with_vectors={work / 'apart'}")
    told = counts(capsys.readouterr().out)
    assert (told["users"], told["users with vector"], told["vectors unused"]) == (38, 37, len(ABSENT))
    users = pa.concat_tables(found)
    assert users.schema.equals(USERS_WITH_VECTORS)
    assert users.select(USERS.names).equals(without)
    version = json.loads((work / "apart" / "model.json").read_text())["model_version"]
    for path in (tmp_path / "with" / "users").iterdir():
        assert read_footer(str(path)).metadata["vectors_of"] == version

    weights = jobs.write_model(tmp_path / "again")
    rows = users.to_pylist()
    assert len(rows) == 38
    for row in rows:
        if row["user_id"] == jobs.STRANGER:
            assert (row["user_vector"], row["known"]) == (None, None)
        else:
            vector = weights.user_embedding[int(row["user_id"][1:]) + 1]
            assert (np.array(row["user_vector"], np.float32) == vector).all()
            assert row["known"] is True


@pytest.mark.parametrize("model", ["apart", "inside"])
def test_scores_are_those_of_the_model_with_the_vectors_inside(
    work: Path, prepared: tuple[Path, Path], tmp_path: Path, model: str
) -> None:
    with_vectors, without = prepared
    score.main(command(without, tmp_path / "expected", model=work / "inside"))
    score.main(command(with_vectors, tmp_path / "found", model=work / model))
    expected, found = read(tmp_path / "expected"), read(tmp_path / "found")
    assert expected.num_rows > 120
    assert found.equals(expected)
    cold = set(found.filter(pa.compute.equal(found["source"], "cold_start"))["user_id"].to_pylist())
    assert cold == {jobs.STRANGER}
    assert report(tmp_path / "found")["counters"] == report(tmp_path / "expected")["counters"]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[ObjectStore]:
    """An empty object store, which notes what is read from it."""
    monkeypatch.setattr(ObjectStore, "objects", {})
    monkeypatch.setattr(ObjectStore, "opened", [])
    return ObjectStore


def test_planning_a_run_reads_each_file_once(
    work: Path, prepared: tuple[Path, Path], tmp_path: Path, store: type[ObjectStore]
) -> None:
    with_vectors, _ = prepared
    users = [
        *store.upload(with_vectors / "users", "memory://b/users/1"),
        *store.upload(with_vectors / "users", "memory://b/users/2"),
    ]
    candidates = store.upload(with_vectors / "candidates", "memory://b/candidates")
    flags = {"users": "memory://b/users/**", "candidates": "memory://b/candidates/*", "model": work / "apart"}
    args, options = parse_flags(score.build_parser(), command(with_vectors, tmp_path, **flags))
    plan = score.plan_run(args, options)
    assert (plan.users_schema, plan.spec.user_count) == (USERS_WITH_VECTORS, 2 * 38)
    assert len(users) == 2
    assert sorted(store.opened) == sorted([*users, *candidates])


def test_finding_vectors_reads_each_file_once(work: Path, store: type[ObjectStore]) -> None:
    files = store.upload(work / "apart" / "user_vectors", "memory://b/model/user_vectors")
    store.objects["memory://b/model/model.json"] = (work / "apart" / "model.json").read_bytes()
    assert find_vectors("memory://b/model").rows == jobs.USER_COUNT
    assert len(files) == 3
    assert sorted(store.opened) == ["memory://b/model/model.json", *files]


def test_only_the_saved_model_is_copied_and_measured(work: Path, tmp_path: Path) -> None:
    copy_folder(str(work / "apart"), tmp_path / "copy", left_out="user_vectors")
    assert not (tmp_path / "copy" / "user_vectors").exists()
    assert check_model(str(tmp_path / "copy")).needs_vectors
    sizes = [path.stat().st_size for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert size_below(str(work / "apart"), left_out="user_vectors") == sum(sizes)
    assert size_below(str(work / "apart"), left_out="-") > sum(sizes)


def changed(work: Path, tmp_path: Path, change: Callable[[Path], None]) -> Path:
    """A copy of the model with its vectors apart, changed."""
    shutil.copytree(work / "apart", tmp_path / "changed")
    change(tmp_path / "changed")
    return tmp_path / "changed"


def rewritten(model: Path, vectors: pa.Table) -> None:
    parquet.write_table(vectors, model / "user_vectors" / "part-00001.parquet")


OTHER = VECTORS.with_metadata({"vectors_of": "basic-0"}).empty_table()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), "model.json: cannot be read"),
        (lambda folder: (folder / "user_vectors" / "part-00001.parquet").unlink(), "part-00001.parquet: missing"),
        (lambda folder: rewritten(folder, OTHER), "part-00001.parquet: its vectors are of basic-0, not of the model"),
        (lambda folder: rewritten(folder, OTHER.select(["user_id"])), "part-00001.parquet: no column 'user_vector'"),
    ],
)
def test_prepare_refuses_vectors_that_are_not_the_models(
    work: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        run_prepare(work, tmp_path / "out", f"--with_vectors={changed(work, tmp_path, change)}")
    assert str(caught.value).startswith(f"--with_vectors {tmp_path / 'changed'}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_prepare_refuses_a_model_that_has_the_vectors_inside(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names no user vectors.*--user_vectors apart"):
        run_prepare(work, tmp_path / "out", f"--with_vectors={work / 'inside'}")


def mixed(folder: Path, with_vectors: Path, without: Path) -> Path:
    folder.mkdir()
    for number, source in enumerate((with_vectors, without)):
        [path] = (source / "users").iterdir()
        shutil.copy(path, folder / f"{number}.parquet")
    return folder


def table(path: Path, users: pa.Table) -> Path:
    parquet.write_table(users, path)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a, b, t: {"users": b / "users"}, "has no column 'user_vector', which the model in"),
        (
            lambda a, b, t: {"users": mixed(t / "users", a, b)},
            "1.parquet: has no column 'user_vector', which other files",
        ),
        (
            lambda a, b, t: {"model": jobs.write_model(t / "other", 1, apart=True) and t / "other"},
            "not of the model basic-",
        ),
        (lambda a, b, t: {"model": jobs.write_model(t / "other", 1) and t / "other"}, "not of the model basic-"),
        (
            lambda a, b, t: {
                "users": table(t / "u.parquet", parquet.read_table(a / "users").replace_schema_metadata())
            },
            "u.parquet: has the column 'user_vector' but does not say of which model",
        ),
        (
            lambda a, b, t: {"users": table(t / "u.parquet", parquet.read_table(a / "users").drop_columns(["known"]))},
            "u.parquet: no column 'known'",
        ),
    ],
)
def test_score_refuses_users_whose_vectors_do_not_fit_the_model(
    work: Path, prepared: tuple[Path, Path], tmp_path: Path, make: Callable, message: str
) -> None:
    flags = {"model": work / "apart", **make(*prepared, tmp_path)}
    with pytest.raises(InputError) as caught:
        score.main(command(prepared[0], tmp_path / "out", **flags))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("run_date=*"))


def test_users_without_a_vector_get_null() -> None:
    users = pa.table([["a", "b", "c"], [["x"], [], None]], schema=USERS)
    vectors = pa.table([["c", "z", "a"], [[1, 2], [3, 4], [5, 6]], [True, True, False]], schema=VECTORS)
    joined, given = join_vectors(users, vectors, "basic-1")
    assert given == 2
    assert joined.schema.metadata == {b"vectors_of": b"basic-1"}
    assert joined["user_vector"].to_pylist() == [[5, 6], None, [1, 2]]
    assert joined["known"].to_pylist() == [False, None, True]
    none, given = join_vectors(users, VECTORS.empty_table(), "basic-1")
    assert (given, none["user_vector"].null_count) == (0, 3)


def test_a_column_of_lists_becomes_rows_of_numbers() -> None:
    filler = np.array([8, 9], np.float32)
    lists = pa.chunked_array([[None, [1, 2]], [[3, 4], None]], VECTORS.field("user_vector").type)
    assert as_matrix(lists, filler).tolist() == [[8, 9], [1, 2], [3, 4], [8, 9]]
    assert as_matrix(lists.slice(1, 2), filler).tolist() == [[1, 2], [3, 4]]
    assert as_matrix(lists.slice(0, 0), filler).shape == (0, 2)
    with pytest.raises(InputError, match="does not have the model's 3 numbers"):
        as_matrix(lists, np.zeros(3, np.float32))
