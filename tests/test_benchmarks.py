"""The arithmetic, the inputs and the command of the benchmarks; they measure only when they are run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from beam_jobs.io.schemas import USERS
from model.cli import InputError
from tests.benchmarks import command_measurement, comparison, inputs, kernels, models, picture, scoring, suite
from tests.benchmarks.catalogue import growth
from tests.benchmarks.cost import START_SECONDS, CostModel, Run, a_billion_pairs, dollars_a_vcpu_hour, predict_night
from tests.benchmarks.outcome import Floor, Outcome, Picture, Table
from tests.benchmarks.peers import environment, spark
from tests.benchmarks.setting import cores

TRUE = CostModel(a_pair=2e-8, a_user=3e-4)


def runs_of(model: CostModel) -> list[Run]:
    shapes = [(2_000, 1_664, 1), (16_000, 1_664, 1), (4_000, 6_656, 1), (16_000, 1_664, 2)]
    return [Run(users, titles, cores, model.predict(users, titles, cores)) for users, titles, cores in shapes]


def test_the_fit_finds_the_costs_that_runs_were_made_with() -> None:
    fitted = CostModel.fit(runs_of(TRUE))
    assert (fitted.a_pair, fitted.a_user) == pytest.approx((TRUE.a_pair, TRUE.a_user))


def test_a_kernel_answers_with_the_best_of_the_products(tmp_path: Path) -> None:
    models.make_vectors(tmp_path, 6, 30, 8)
    users, titles = (np.load(tmp_path / f"{name}.npy") for name in ("users", "titles"))
    found = scoring.kernel_answers(tmp_path / "model", 4, 30, 5)
    assert found.tolist() == np.argsort(-(users[:4] @ titles.T), axis=1)[:, :5].tolist()
    assert scoring.kernel_rate(None, tmp_path / "model", 4, 30, 5, seconds=0.01) > 0


@pytest.mark.parametrize("seconds", [[1.0, 1.0, 4.1], [4.1, 1.0, 1.0]])
def test_no_cost_is_negative(seconds: list[float]) -> None:
    shapes = [(1_000, 1_000), (1_000, 500), (1_000, 4_000)]
    fitted = CostModel.fit([Run(*shape, 1, taken) for shape, taken in zip(shapes, seconds, strict=True)])
    assert min(fitted.a_pair, fitted.a_user) >= 0
    assert max(fitted.a_pair, fitted.a_user) > 0


def test_a_night_is_paid_with_its_start_and_ends_within_the_hour() -> None:
    users, titles = 100_000_000, 100_000
    night = predict_night(TRUE, users, titles, "n2-standard-4")
    work = TRUE.core_seconds(users, titles)
    assert START_SECONDS + work / 4 / night.machines <= 3_600 < START_SECONDS + work / 4 / (night.machines - 1)
    assert night.vcpu_hours == pytest.approx((work + 4 * night.machines * START_SECONDS) / 3_600)
    rate = dollars_a_vcpu_hour("n2-standard-4")
    assert rate == pytest.approx(0.056 + 4 * 0.003557)
    assert 0 < night.dollars - night.vcpu_hours * rate < 0.02
    assert predict_night(TRUE, 1, 1, "n2-standard-4").machines == 1


def test_a_billion_pairs_cost_less_where_a_user_has_more_of_them() -> None:
    seconds, dollars = a_billion_pairs(TRUE, 10_000, "n2-standard-4")
    assert seconds == pytest.approx(1e9 * 2e-8 + 1e5 * 3e-4)
    assert dollars == pytest.approx(seconds / 3_600 * dollars_a_vcpu_hour("n2-standard-4"))
    assert a_billion_pairs(TRUE, 100_000, "n2-standard-4")[0] < seconds


def test_costs_that_arise_once_are_not_in_a_slope() -> None:
    assert comparison.slope([100, 400], [7 + 1.0, 7 + 4.0]) == pytest.approx(100)
    assert math.isnan(comparison.slope([100, 400], [2.0, 1.9]))


def test_measurements_take_turns_and_the_best_of_each_size_counts(capsys: pytest.CaptureFixture[str]) -> None:
    order = []
    seconds = {"a": iter([[3.0, 9.0], [2.0, 10.0]]), "b": iter([[1.0], [5.0]])}

    def take(name: str) -> list[float]:
        order.append(name)
        return next(seconds[name])

    best = comparison.in_turn({"a": lambda: take("a"), "b": lambda: take("b")}, 2)
    assert order == ["a", "b", "a", "b"]
    assert best == {"a": [2.0, 9.0], "b": [1.0]}
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (1.7, False, "MISSED"),
        (1.8, False, "met"),
        (2.5, False, "reached"),
        (2.5, True, "MISSED"),
        (1.9, True, "met"),
        (math.nan, False, "MISSED"),
        (math.nan, True, "MISSED"),
    ],
)
def test_floors(value: float, at_most: bool, verdict: str) -> None:
    floor = Floor("speed", value, 2.0 if at_most else 1.8, 1.0 if at_most else 1.95, "x", at_most)
    assert floor.line().startswith(f"{verdict}: speed: ")
    assert "\n" not in floor.line()
    assert floor.met == (verdict != "MISSED")


def test_an_outcome_as_text_and_as_json() -> None:
    table = Table(["what", "M pairs/s"], [["ours", "12.5"], ["theirs, slower", "-"]])
    outcome = Outcome([table], {"rate": {2_000: math.nan, 4_000: [1.5]}}, [Floor("speed", 2.0, 1.0, 3.0)])
    header, rule, first, second, empty, verdict = outcome.render().split("\n")
    assert len({len(line) for line in (header, rule, first, second)}) == 1
    assert (first, empty) == ("| ours           |      12.5 |", "")
    assert verdict == "met: speed: 2x, at least 1x asked, 3x hoped for"
    document = json.loads(json.dumps(outcome.as_dict(), allow_nan=False))
    assert document["rate"] == {"2000": None, "4000": [1.5]}
    assert document["floors"][0]["met"] is True


def test_growth_is_of_the_cost_and_not_of_the_rate() -> None:
    assert growth([100.0, 125.0, 80.0]) == pytest.approx(25.0)
    assert growth([100.0, 110.0]) < 0


def test_answers_must_be_alike() -> None:
    ours = np.arange(200).reshape(10, 20)
    kernels.check_alike("same, other order", ours, ours[:, ::-1])
    with pytest.raises(RuntimeError, match=r"other.* 0\.0% of the best in common"):
        kernels.check_alike("other", ours, ours + 1_000)


def test_flags() -> None:
    args = suite.build_parser().parse_args(["dense_layers", "scale", "--json", "f.json", "--quick"])
    assert (args.names, args.json, args.quick, args.repeats, args.peers) == (
        ["dense_layers", "scale"],
        Path("f.json"),
        True,
        2,
        False,
    )
    assert suite.build_parser().parse_args([]).output == Path("runs/bench")
    suite.check_flags(args)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nonsense"], "no such benchmark; name some of limits, dense_layers"), (["--repeats", "0"], "is 0")],
)
def test_wrong_flags(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        suite.main(words)


def test_a_missed_floor_is_the_exit_status_unless_sizes_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(setting: object) -> Outcome:
        shown = Picture("shown", "t", "users", "rate", {"ours": [(10.0, 1.0), (1_000.0, 2.0)]}, {"limit": 3.0})
        return Outcome([Table(["what"], [["ours"]])], {}, [Floor("speed", 1.0, 2.0, 3.0)], [shown])

    def fail(setting: object) -> Outcome:
        raise RuntimeError("no Spark today")

    monkeypatch.setattr(suite, "BENCHMARKS", {"one": measure, "two": fail})
    out = ["--output", str(tmp_path), "--json", str(tmp_path / "f.json")]
    assert suite.main(["one", *out]) == 1
    assert "MISSED: speed: 1x, at least 2x asked" in capsys.readouterr().out
    assert suite.main(["one", "--quick", *out]) == 0
    assert (tmp_path / "shown.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "f.json").read_text())["benchmarks"]["one"]["floors"][0]["met"] is False
    assert suite.main(["two", "--quick", *out]) == 1
    assert "FAILED: two: no Spark today" in capsys.readouterr().out


def test_a_picture_of_one_point(tmp_path: Path) -> None:
    assert picture.draw(Picture("p", "t", "x", "y", {"a": [(5.0, 1.0)]}), tmp_path / "new").exists()


def test_tables_of_users_are_of_the_schema_whatever_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "USERS_A_GROUP", (256, 8_192))
    path = inputs.users_file(tmp_path, 700, 30, seen=3)
    table = parquet.read_table(path)
    assert table.schema.equals(USERS)
    assert table["user_id"].to_pylist() == [f"user {number}" for number in range(700)]
    assert {len(seen) for seen in table["seen"].to_pylist()} == {3}
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert inputs.users_file(tmp_path, 700, 30, seen=3) == path
    assert inputs.make_users(5, 30).schema.equals(USERS)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "21"', 21),
        ("", None),
    ],
)
def test_java(text: str, version: int | None) -> None:
    assert spark.java_version(text) == version


def test_peers_that_are_not_installed_or_of_another_lock_file(tmp_path: Path) -> None:
    assert spark.missing(None) == "not installed: bench --peers"
    assert environment.find(tmp_path) is None
    (tmp_path / ".set-up").write_text("of another lock file")
    assert environment.find(tmp_path) is None
    assert all("==" in line for line in environment.LOCK.read_text().splitlines() if not line.startswith("#"))


def test_memory_is_measured_of_all_descendants() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # The child runs by now.
        members = list(command_measurement.family(process.pid))
        found = [command_measurement.peak_of(pid) for pid in members]
        process.communicate(b"\n")
    assert len(members) == 2
    assert members[0] == process.pid
    assert all(each and not each[0] and each[1] > 1 << 20 for each in found)
    assert command_measurement.peak_of(process.pid) is None


def test_a_command_is_measured_to_its_end(tmp_path: Path) -> None:
    script = "import pathlib, sys, time; time.sleep(0.3); pathlib.Path(sys.argv[1], 'part-1').touch(); time.sleep(0.3)"
    command = [sys.executable, "-c", script, str(tmp_path)]
    seen = command_measurement.measure_command(command, cores(), tmp_path, ["part-*"])
    assert 0.3 < seen.first_file < seen.seconds
    assert (seen.worker_peaks, seen.peak) == ((), seen.launcher_peak)
    assert seen.peak > 1 << 20
    with pytest.raises(RuntimeError, match="ended with 3:\nwhy"):
        command_measurement.measure_command([sys.executable, "-c", "print('why'); exit(3)"], cores(), tmp_path, [])
