"""`python -m model.train` and `model.evaluate` as a user calls them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from model import evaluate, train
from model.artifact.model_json import check_files, digests, read_description
from model.cli import InputError
from model.rankers.settings import ArticleSettings
from tests.model.rankers.article.test_training import checkerboard

BASIC = ("--model", "basic")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "board.parquet"
    parquet.write_table(checkerboard(), path)
    return path


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "model"
    flags = [*BASIC, "--dataset", str(data), "--split", "random", "--model_dir", str(folder), "--epochs", "2"]
    train.main(flags, now=lambda: datetime(2026, 1, 2, 4, 5, 6, tzinfo=timezone(timedelta(hours=1))))
    return folder


def test_model_json_describes_the_model(trained: Path) -> None:
    described = read_description(trained)
    assert (described["model_kind"], described["score_kind"]) == ("basic", "rating")
    assert described["model_version"].startswith("basic-")
    assert described["created_at"] == "2026-01-02T03:05:06+00:00"
    assert described["settings"] == json.loads(json.dumps(asdict(ArticleSettings(epochs=2))))
    assert described["vocabulary"] == {"users": 40, "titles": 40}
    # Embeddings with a row for the unknown, then 64-256-64-1 with biases.
    assert described["parameters"]["trainable"] == 2 * 41 * 32 + 64 * 256 + 256 + 256 * 64 + 64 + 64 + 1
    rows = described["split"]["rows"]
    assert rows == {"train": 720, "validation": 240, "test": 240}
    assert described["data"]["rows"] == 1_200
    assert described["trained_on"]["rows"] == 720
    assert all(0 < described["metrics"][part]["rmse"] < 5 for part in ("train", "validation", "test"))
    check_files(trained, described["files"])
    assert {"saved_model.pb", "variables/variables.index"} <= set(described["files"])


def test_a_fit_prints_one_line_of_its_own_and_keras_none(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = [*BASIC, "--dataset", str(data), "--split", "random", "--epochs", "3", "--refit"]
    train.main([*flags, "--model_dir", str(tmp_path / "model")])
    printed = capfd.readouterr()
    assert not re.search(r"Epoch \d|loss:|regularization|/step|/epoch", printed.out + printed.err)
    lines = printed.out.splitlines()
    first, again = (number for number, line in enumerate(lines) if line.startswith("fitting basic to "))
    assert lines[first] == "fitting basic to 720 interactions"
    assert re.fullmatch(r"RMSE \d\.\d{4} in training, \d\.\d{4} on validation after 3 epochs", lines[first + 1])
    assert lines[again] == "fitting basic to 1,200 interactions"
    assert re.fullmatch(r"RMSE \d\.\d{4} in training after 3 epochs", lines[again + 1])
    assert all(len(line) <= 80 for line in lines if str(tmp_path) not in line and str(data) not in line)


def test_history_picture_and_tensorboard_logs_are_kept(trained: Path) -> None:
    history = json.loads((trained / "training" / "history.json").read_text())
    assert len(history["rmse"]) == len(history["val_rmse"]) == 2
    assert (trained / "training" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((trained / "training" / "tensorboard").rglob("events.out.tfevents.*"))


def test_the_same_command_gives_the_same_model(trained: Path, data: Path, tmp_path: Path) -> None:
    command = [*BASIC, "--dataset", str(data), "--split", "random", "--epochs", "2"]
    train.main([*command, "--model_dir", str(tmp_path / "again")])
    first, second = read_description(trained), read_description(tmp_path / "again")
    assert first["model_version"] == second["model_version"]
    assert first["metrics"] == second["metrics"]


def test_refit_exports_a_model_of_all_interactions(trained: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    train.main(
        [*BASIC, "--dataset", str(data), "--split", "random", "--epochs", "2", "--refit", "--model_dir", str(folder)]
    )
    described = read_description(folder)
    assert described["trained_on"]["what"] == "all interactions"
    assert described["trained_on"]["rows"] == 1_200
    assert described["metrics"] == read_description(trained)["metrics"]
    assert described["model_version"] != read_description(trained)["model_version"]


def test_vectors_may_lie_apart_from_a_model_of_the_same_version(trained: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    command = [*BASIC, "--dataset", str(data), "--split", "random", "--epochs", "2", "--user_vectors", "apart"]
    train.main([*command, "--model_dir", str(folder)])
    inside, apart = read_description(trained), read_description(folder)
    for name in ("model_version", "metrics", "vocabulary", "blessed"):
        assert apart[name] == inside[name]
    assert "user_vectors" not in inside
    assert apart["user_vectors"]["width"] == 32
    [name] = apart["user_vectors"]["files"]
    rows = parquet.read_table(folder / name)
    assert rows["user_id"].to_pylist() == sorted(rows["user_id"].to_pylist())
    assert (rows.num_rows, {len(vector) for vector in rows["user_vector"].to_pylist()}) == (40, {32})
    # What a worker reads and checks is without them.
    assert apart["files"].keys() == inside["files"].keys()
    check_files(folder, apart["files"])
    with pytest.raises(InputError, match=r"does not hold the vectors of its users.*--user_vectors inside"):
        evaluate.main(["--model_dir", str(folder), "--dataset", str(data)])


def test_evaluate_measures_what_training_measured(
    trained: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(["--model_dir", str(trained), "--dataset", str(data), "--split", "random"])
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])["ratings"]["parts"]
    described = read_description(trained)["metrics"]
    assert measured.keys() == described.keys()
    for part, values in described.items():
        assert measured[part] == pytest.approx(values, abs=1e-5)


def test_evaluate_measures_lists_and_writes_a_card(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--model_dir", str(trained), "--dataset", str(data), "--split", "random"]
    evaluate.main([*command, "--k", "3", "--card", str(tmp_path / "card.html")])
    printed = capsys.readouterr().out
    measured = json.loads(printed.splitlines()[-1])
    ranking = measured["ranking"]
    assert ranking["protocol"]["k"] == 3
    assert {"model", "popularity", "biases", "ease"} <= ranking["systems"].keys()
    assert measured["ratings"]["systems"].keys() == {"model", "global mean", "biases"}
    assert all(words in printed for words in ranking["protocol"]["words"])
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert f"{ranking['systems']['model']['metrics']['ndcg']['mean']:.3f}" in page
    evaluate.main([*command, "--no_baselines", "--max_users", "7"])
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert alone["ranking"]["systems"].keys() == alone["ratings"]["systems"].keys() == {"model"}
    assert alone["ranking"]["protocol"]["users"] == 7


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--k", "0"], "--k 0: give a whole number of at least 1"),
        (["--max_users", "0"], "--max_users 0: give a whole number of at least 1"),
        (["--card", "nowhere/card.html"], "there is no folder nowhere"),
    ],
)
def test_evaluate_refuses_a_mistake_first(trained: Path, flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate.main(["--model_dir", str(trained), "--dataset", "nosuch", *flags])


def test_evaluate_says_when_the_model_has_seen_other_rows(
    trained: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(["--model_dir", str(trained), "--dataset", str(data), "--split", "time"])
    assert "trained on 720 rows that differ from the train part" in capsys.readouterr().out


def test_a_failed_run_leaves_the_former_model(trained: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(trained)

    def break_off(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("model.artifact.export.export", break_off)
    with pytest.raises(OSError, match="disk full"):
        train.main(["--dataset", str(data), "--split", "none", "--epochs", "1", "--model_dir", str(trained)])
    assert digests(trained) == before
    assert [path.name for path in trained.parent.iterdir()] == ["model"]


def test_a_folder_of_other_files_is_not_replaced(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds files but no model\.json"):
        train.main(["--dataset", str(data), "--split", "none", "--model_dir", str(tmp_path)])
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_split_without_train_rows_is_refused(tmp_path: Path) -> None:
    row = checkerboard().slice(0, 1)
    parquet.write_table(pa.concat_tables([row]), tmp_path / "one.parquet")
    with pytest.raises(InputError, match="leaves no rows to train on"):
        train.main(
            ["--dataset", str(tmp_path / "one.parquet"), "--split", "last_n", "--model_dir", str(tmp_path / "m")]
        )
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "nosuch"], "nosuch"),
        (["--model", "best"], "--model"),
        (["--epochs", "0"], "--epochs 0: give a whole number of at least 1"),
        (["--colour", "red"], "--colour"),
        (["--split", "given"], "--test_dataset"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(flags: list[str], message: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "model.train", "--model_dir", str(tmp_path / "m"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
