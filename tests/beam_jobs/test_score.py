"""`python -m beam_jobs.score` over real files against brute force, and on everything that may be wrong with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import dataset, parquet

from beam_jobs import audit, prepare, publish, score
from beam_jobs.io.schemas import RECOMMENDATIONS
from beam_jobs.pipeline import parallelism
from beam_jobs.scoring import loaded_model, model_calls, transforms
from model import train
from model.cli import InputError, RunError
from tests import jobs, oracle

DATE = "2024-02-29"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model, users in two files, and candidates."""
    folder = tmp_path_factory.mktemp("work")
    jobs.write_model(folder / "model")
    users = jobs.some_users()
    jobs.write_users(folder / "users" / "a.parquet", users[:15])
    jobs.write_users(folder / "users" / "b.parquet", users[15:])
    jobs.write_candidates(folder / "candidates" / "c.parquet", jobs.some_titles())
    return folder


def command(work: Path, out: Path, **flags: object) -> list[str]:
    given = {
        "model": work / "model",
        "users": work / "users" / "*.parquet",
        "candidates": work / "candidates" / "*.parquet",
        "output": out,
        "top_n": 5,
        "run_date": DATE,
        **flags,
    }
    return [f"--{name}={value}" for name, value in given.items()]


def read(output: Path) -> pa.Table:
    """The published rows as a reader of a Hive-partitioned dataset finds them."""
    rows = dataset.dataset(output / "recommendations", partitioning="hive").to_table()
    return rows.sort_by([("user_id", "ascending"), ("rank", "ascending")])


def report(output: Path) -> dict:
    return json.loads((output / "recommendations" / f"run_date={DATE}" / "_run.json").read_text())


def expected(model: Path, users: list, titles: list[str], top_n: int, exclude_seen: bool = True) -> list[tuple]:
    """Every user's best by brute force over `serving_default`, all pairs."""
    serving = tf.saved_model.load(str(model)).signatures["serving_default"]
    pairs = {
        "user_id": tf.constant(np.repeat(np.array([user for user, _ in users], object), len(titles)), tf.string),
        "movie_title": tf.constant(np.tile(np.array(titles, object), len(users)), tf.string),
    }
    scores = serving(**pairs)["user_rating"].numpy().reshape(len(users), len(titles))
    seen = [[titles.index(t) for t in set(seen) if t in titles] if exclude_seen else [] for _, seen in users]
    best = oracle.best(scores, seen, top_n)
    return [
        (user, rank, titles[place], float(scores[row, place]))
        for row, (user, _) in enumerate(users)
        for rank, place in enumerate(best[row], 1)
    ]


def assert_same_rows(rows: pa.Table, wanted: list[tuple]) -> None:
    got = list(zip(*(rows[name].to_pylist() for name in ("user_id", "rank", "movie_title")), strict=True))
    assert got == sorted(row[:3] for row in wanted)
    scores = [row[3] for row in sorted(wanted)]
    np.testing.assert_allclose(rows["score"].to_numpy(), scores, atol=1e-4)


def test_equals_brute_force_over_serving_default(work: Path, tmp_path: Path) -> None:
    score.main(command(work, tmp_path))
    rows = read(tmp_path)
    wanted = expected(work / "model", jobs.some_users(), jobs.some_titles(), 5)
    assert len(wanted) > 150
    assert_same_rows(rows, wanted)
    assert rows["predicted_rating"].equals(rows["score"])
    sources = dict(zip(rows["user_id"].to_pylist(), rows["source"].to_pylist(), strict=True))
    assert {user for user, source in sources.items() if source == "cold_start"} == {jobs.STRANGER}


def test_files_have_the_columns_of_the_contract_and_staging_is_gone(work: Path, tmp_path: Path) -> None:
    score.main(command(work, tmp_path))
    partition = tmp_path / "recommendations" / f"run_date={DATE}"
    files = sorted(partition.glob("*.parquet"))
    assert files
    assert all(parquet.read_schema(file).equals(RECOMMENDATIONS) for file in files)
    assert {path.name for path in tmp_path.iterdir()} == {"recommendations"}
    assert {path.suffix for path in partition.iterdir()} == {".parquet", ".json"}


def test_the_steps_taken_one_by_one_publish_the_same_rows(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score.main(command(work, tmp_path / "one"))
    score.main([*command(work, tmp_path / "two"), "--stage_only"])
    assert not (tmp_path / "two" / "recommendations").exists()
    staged = capsys.readouterr().out.rpartition("staged, not audited and not published: ")[2].strip()
    audit.main(["--staged", staged])
    publish.main(["--staged", staged, "--output", str(tmp_path / "two")])
    assert read(tmp_path / "one").equals(read(tmp_path / "two"))
    assert report(tmp_path / "one")["counters"] == report(tmp_path / "two")["counters"]


def test_counters_agree_with_the_rows(work: Path, tmp_path: Path) -> None:
    score.main(command(work, tmp_path))
    told, rows = report(tmp_path), read(tmp_path)
    counters = told["counters"]
    assert counters["users_read"] == counters["users_scored"] == 41
    assert counters["users_cold"] == 1
    assert counters["pairs_scored"] == 41 * 31
    assert counters["rows_written"] == rows.num_rows == sum(file["rows"] for file in told["files"])
    assert told["candidates"] == 31
    assert set(rows["model_version"].to_pylist()) == {told["model_version"]}


def test_a_model_that_is_not_blessed_is_refused_unless_allowed(
    work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(work / "model", tmp_path / "model")
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    for blessed, why in ((None, "No gate has judged it."), ({"blessed": False, "why": ["Too few users."]}, "Too few")):
        (tmp_path / "model" / "model.json").write_text(
            json.dumps({name: value for name, value in (described | {"blessed": blessed}).items() if value})
        )
        with pytest.raises(InputError, match=f"is not blessed: {why}.*--allow_unblessed"):
            score.main(command(work, tmp_path / "out", model=tmp_path / "model"))
        assert not (tmp_path / "out" / "recommendations").exists()
    score.main([*command(work, tmp_path / "out", model=tmp_path / "model"), "--allow_unblessed"])
    assert "is used although it is not blessed: Too few users." in caplog.text
    assert read(tmp_path / "out").num_rows > 150


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_way_to_run_it_gives_the_same_rows(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    score.main(command(work, tmp_path / "one"))
    jobs.write_users(tmp_path / "users.parquet", jobs.some_users(), row_group_size=9)
    monkeypatch.setattr(parallelism, "USERS_A_BATCH", (1, workers + 3))
    monkeypatch.setattr(model_calls, "FIRST_CALL", workers)
    other = command(work, tmp_path / "two", users=tmp_path / "users.parquet")
    score.main([*other, "--direct_running_mode=multi_threading", f"--direct_num_workers={workers}"])
    assert read(tmp_path / "one").equals(read(tmp_path / "two"))


def test_seen_titles_come_back_only_when_asked_for(work: Path, tmp_path: Path) -> None:
    score.main([*command(work, tmp_path), "--no_exclude_seen"])
    assert_same_rows(read(tmp_path), expected(work / "model", jobs.some_users(), jobs.some_titles(), 5, False))


def test_excluded_titles_are_never_recommended(work: Path, tmp_path: Path) -> None:
    excluded = ["t3", "t17", "not a candidate"]
    (tmp_path / "excluded.txt").write_text("\n".join(excluded) + "\n")
    score.main(command(work, tmp_path / "out", exclude_titles=tmp_path / "excluded.txt"))
    left = [title for title in jobs.some_titles() if title not in excluded]
    assert_same_rows(read(tmp_path / "out"), expected(work / "model", jobs.some_users(), left, 5))
    assert report(tmp_path / "out")["counters"]["candidates_excluded"] == 2


def test_min_score_shortens_lists_and_counts(work: Path, tmp_path: Path) -> None:
    wanted = expected(work / "model", jobs.some_users(), jobs.some_titles(), 5)
    threshold = float(np.median([row[3] for row in wanted]))
    score.main(command(work, tmp_path, min_score=threshold))
    kept = [row for row in wanted if row[3] >= np.float32(threshold)]
    assert_same_rows(read(tmp_path), kept)
    assert report(tmp_path)["counters"]["rows_below_min_score"] == len(wanted) - len(kept) > 0


def test_users_without_id_are_counted_as_rejects(work: Path, tmp_path: Path) -> None:
    jobs.write_users(tmp_path / "users.parquet", [("u1", ["t1"]), (None, ["t2"]), ("", None), ("u2", None)])
    score.main(command(work, tmp_path, users=tmp_path / "users.parquet"))
    counters = report(tmp_path)["counters"]
    assert (counters["users_read"], counters["users_rejected_no_user_id"], counters["users_scored"]) == (4, 2, 2)
    assert set(read(tmp_path)["user_id"].to_pylist()) == {"u1", "u2"}


def test_a_user_who_has_seen_everything_is_counted(work: Path, tmp_path: Path) -> None:
    jobs.write_users(tmp_path / "users.parquet", [("u1", jobs.some_titles())])
    score.main(command(work, tmp_path, users=tmp_path / "users.parquet"))
    assert report(tmp_path)["counters"]["users_without_rows"] == 1
    assert read(tmp_path).num_rows == 0


def test_repeated_and_empty_candidates_are_left_out_and_counted(work: Path, tmp_path: Path) -> None:
    jobs.write_candidates(tmp_path / "c.parquet", ["t1", "t2", None, "t1", "", "t3"])
    score.main(command(work, tmp_path, candidates=tmp_path / "c.parquet"))
    counters = report(tmp_path)["counters"]
    assert (counters["candidates_rejected_repeated"], counters["candidates_rejected_no_title"]) == (1, 2)
    assert_same_rows(read(tmp_path), expected(work / "model", jobs.some_users(), ["t1", "t2", "t3"], 5))


def test_the_model_is_loaded_once_a_process(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = loaded_model._load
    shutil.copytree(work / "model", tmp_path / "model")  # not loaded by another test
    monkeypatch.setattr(loaded_model, "_load", lambda *args: loads.append(args) or load(*args))
    score.main(command(work, tmp_path, model=tmp_path / "model"))
    assert len(loads) == 1


def test_a_second_run_of_a_date_replaces_the_first(work: Path, tmp_path: Path) -> None:
    score.main(command(work, tmp_path))
    score.main(command(work, tmp_path, top_n=2))
    assert read(tmp_path)["rank"].to_pylist().count(3) == 0
    score.main(command(work, tmp_path, run_date="2024-03-01"))
    assert {path.name for path in (tmp_path / "recommendations").iterdir()} == {
        f"run_date={DATE}",
        "run_date=2024-03-01",
    }


def test_what_was_published_stays_when_a_run_fails(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score.main(command(work, tmp_path))
    before = read(tmp_path)

    def lose_a_row(*args: object) -> tuple:
        rows, counts = recommend(*args)
        return rows.slice(1), counts

    recommend = transforms.recommend
    monkeypatch.setattr(transforms, "recommend", lose_a_row)
    with pytest.raises(RunError, match="the candidates left allow"):
        score.main(command(work, tmp_path))
    monkeypatch.setattr(transforms, "recommend", lambda *_: 1 / 0)
    with pytest.raises(RunError, match="division by zero"):
        score.main(command(work, tmp_path))
    assert read(tmp_path).equals(before)


def test_a_user_who_is_twice_in_the_table_is_named(work: Path, tmp_path: Path) -> None:
    jobs.write_users(tmp_path / "users.parquet", [("u1", ["t1"]), ("u2", []), ("u1", ["t2"])])
    with pytest.raises(InputError, match="user 'u1'"):
        score.main(command(work, tmp_path / "out", users=tmp_path / "users.parquet"))
    assert not (tmp_path / "out" / "recommendations").exists()


def garbage(path: Path) -> Path:
    path.write_bytes(b"this is not Parquet")
    return path


def table(path: Path, **columns: list) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def bare_saved_model(path: Path) -> Path:
    """A SavedModel of somebody else's, described as ours are."""
    from model.artifact.export import describe_signatures
    from model.artifact.model_json import digests

    module = tf.Module()
    module.answer = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None])])
    functions = {"serving_default": module.answer}
    tf.saved_model.save(module, str(path), functions)
    document = {
        "model_kind": "basic",
        "score_kind": "rating",
        "model_version": "v",
        "signatures": describe_signatures(functions),
        "files": digests(path),
    }
    (path / "model.json").write_text(json.dumps(document))
    return path


def damaged(work: Path, path: Path) -> Path:
    shutil.copytree(work / "model", path)
    variables = path / "variables" / "variables.data-00000-of-00001"
    variables.write_bytes(variables.read_bytes()[:100])
    return path


def empty_folder(path: Path) -> Path:
    path.mkdir()
    return path


BAD_INPUT = {
    "missing column": (lambda w, t: {"users": table(t / "u.parquet", user_id=["u1"])}, "u.parquet: no column 'seen'"),
    "wrong type": (
        lambda w, t: {"users": table(t / "u.parquet", user_id=[1], seen=[["t1"]])},
        "u.parquet: column 'user_id' is int64; it must be string",
    ),
    "empty file": (
        lambda w, t: {"users": (t / "u.parquet").write_bytes(b"") or t / "u.parquet"},
        "u.parquet: cannot be",
    ),
    "not Parquet": (lambda w, t: {"users": garbage(t / "u.parquet")}, "u.parquet: cannot be read as Parquet"),
    "candidates not Parquet": (lambda w, t: {"candidates": garbage(t / "c.parquet")}, "--candidates"),
    "no candidates": (
        lambda w, t: {"candidates": table(t / "c.parquet", movie_title=pa.array([], pa.string()))},
        "c.parquet: no candidate",
    ),
    "no users": (
        lambda w, t: {"users": jobs.write_users(t / "u.parquet", []) or t / "u.parquet"},
        "u.parquet: no users in it",
    ),
    "no such users": (lambda w, t: {"users": t / "nothing" / "*.parquet"}, "--users"),
    "no such model": (lambda w, t: {"model": t / "nothing"}, "nothing: no such folder"),
    "no SavedModel": (lambda w, t: {"model": empty_folder(t / "m")}, "m: not a SavedModel"),
    "other signatures": (lambda w, t: {"model": bare_saved_model(t / "m")}, "m: signature 'serving_default' takes"),
    "truncated variables": (lambda w, t: {"model": damaged(w, t / "m")}, "variables.data-00000-of-00001"),
    "top_n 0": (lambda w, t: {"top_n": 0}, "--top_n is 0"),
    "top_n text": (lambda w, t: {"top_n": "many"}, "--top_n"),
    "run_date": (lambda w, t: {"run_date": "yesterday"}, "--run_date yesterday: not a date"),
    "output is a file": (lambda w, t: {"output": garbage(t / "file")}, "--output"),
    "min_score": (lambda w, t: {"min_score": "nan"}, "--min_score"),
    "no list to exclude": (lambda w, t: {"exclude_titles": t / "nothing.txt"}, "--exclude_titles"),
    "unknown flag": (lambda w, t: {"topn": 5}, "did you mean --top_n"),
    "wrong flag of Beam": (lambda w, t: {"direct_num_workers": "two"}, "direct_num_workers"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_that_says_where(name: str, work: Path, tmp_path: Path) -> None:
    make, message = BAD_INPUT[name]
    flags = make(work, tmp_path)
    output = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        score.main(command(work, output, **flags))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("run_date=*"))


def test_as_a_command_bad_input_is_exit_2_and_a_line(work: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    flags = command(work, tmp_path / "out", users=garbage(tmp_path / "u.parquet"))
    done = subprocess.run(
        [sys.executable, "-m", "beam_jobs.score", *flags], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --users")


def test_the_whole_flow_on_movielens_equals_brute_force(movielens_dir: Path, tmp_path: Path) -> None:
    """All 943 x 1,664 pairs, ties included."""
    train.main(
        [
            *("--dataset", str(movielens_dir), "--model_dir", f"{tmp_path}/model"),
            *("--model", "basic", "--split", "none", "--epochs", "1"),
        ]
    )
    prepare.main(["--dataset", str(movielens_dir), "--output", str(tmp_path)])
    score.main([*command(tmp_path, tmp_path, top_n=20), "--allow_unblessed"])
    users = [tuple(row.values()) for row in dataset.dataset(tmp_path / "users").to_table().to_pylist()]
    titles = dataset.dataset(tmp_path / "candidates").to_table()["movie_title"].to_pylist()
    assert (len(users), len(titles)) == (943, 1_664)
    rows = read(tmp_path)
    assert rows.num_rows == 943 * 20
    assert_same_rows(rows, expected(tmp_path / "model", users, titles, 20))
