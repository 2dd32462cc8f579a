"""Machines that die, stand still or fill up under a job on Flink: it ends, with the rows of an undisturbed run.

A few faults run with the other tests; `./run_local.sh test -m long` kills twenty times, at random moments.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import dataset, parquet

from beam_jobs import score
from beam_jobs.engines import flink
from beam_jobs.engines.flink import SessionCluster
from beam_jobs.run import RunReport
from tests.benchmarks import inputs

USERS, TITLES, ROW_GROUP = 6_000, 1_664, 250
DATE = "2024-02-29"
KILLS = 20
SHORT_FILE = 16 << 10

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        not (shutil.which("java") and shutil.which("mvn")), reason="Java or Maven is not on the machine"
    ),
]


@dataclass(frozen=True)
class Undisturbed:
    """What the job reads, what it writes when nothing happens, and how long that takes on the cluster."""

    work: Path
    rows: pa.Table
    counters: dict[str, int]
    seconds: float


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionCluster]:
    with flink.session_cluster(tmp_path_factory.mktemp("flink"), restarts=100) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(cluster: SessionCluster, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    work = tmp_path_factory.mktemp("work")
    inputs.in_new_process(inputs.make_model, work, USERS, TITLES)
    parquet.write_table(inputs.make_candidates(TITLES), work / "candidates.parquet")
    parquet.write_table(inputs.make_users(USERS, TITLES), work / "users.parquet", row_group_size=ROW_GROUP)
    score.main(command(work, work / "direct"))
    began = time.monotonic()
    score.main([*command(work, work / "flink"), *cluster.flags])
    seconds = time.monotonic() - began
    rows, counters = outcome(work / "direct")
    assert outcome(work / "flink") == (rows, counters)
    assert rows.num_rows == USERS * inputs.TOP_N
    return Undisturbed(work, rows, counters, seconds)


def command(work: Path, output: Path) -> list[str]:
    flags = f"--model {work}/model --users {work}/users.parquet --candidates {work}/candidates.parquet"
    return [*flags.split(), "--output", str(output), "--run_date", DATE, "--top_n", str(inputs.TOP_N)]


def outcome(output: Path) -> tuple[pa.Table, dict[str, int]]:
    """Every row that a reader finds, and the run's counters."""
    partition = output / "recommendations" / f"run_date={DATE}"
    rows = dataset.dataset(sorted(map(str, partition.glob("*.parquet")))).to_table()
    assert {path.suffix for path in partition.iterdir()} == {".parquet", ".json"}
    return rows, dict(RunReport.read(str(partition)).counters)


def python_workers(cluster: SessionCluster) -> list[int]:
    """Ids of the Python processes that score: the last in line below the TaskManagers."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    managers = {process.pid for process in cluster.task_managers}
    below = set(managers)
    while more := {process for process, parent in parents.items() if parent in below} - below:
        below |= more
    return sorted(process for process in below - managers if process not in parents.values())


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def kill_task_manager(cluster: SessionCluster, draw: random.Random) -> None:
    draw.choice(cluster.task_managers).kill()


def kill_worker(cluster: SessionCluster, draw: random.Random) -> None:
    if workers := python_workers(cluster):
        os.kill(draw.choice(workers), signal.SIGKILL)
    else:  # between two tasks there may be none
        kill_task_manager(cluster, draw)


def stand_still(cluster: SessionCluster, draw: random.Random) -> None:
    """As a machine does that is short of everything."""
    for worker in python_workers(cluster)[:1]:
        os.kill(worker, signal.SIGSTOP)
        time.sleep(5)
        os.kill(worker, signal.SIGCONT)


def fill_disk(cluster: SessionCluster, draw: random.Random) -> None:
    """For some seconds no worker can write a file of rows to its end; the log, which is short, it can."""
    workers = python_workers(cluster)
    for limit, seconds in ((SHORT_FILE, 6), (resource.RLIM_INFINITY, 0)):
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):  # Flink may have ended it meanwhile
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        time.sleep(seconds)


Fault = Callable[[SessionCluster, random.Random], None]


def run_with(fault: Fault, cluster: SessionCluster, undisturbed: Undisturbed, seed: int) -> tuple[float, Path]:
    """Run the job with a fault at a moment drawn by `seed`; the moment, in seconds, and the output."""
    draw = random.Random(seed)
    moment = draw.uniform(0, undisturbed.seconds)
    output = undisturbed.work / f"{fault.__name__}-{seed}"
    timer = threading.Timer(moment, fault, (cluster, draw))
    timer.start()
    score.main([*command(undisturbed.work, output), *cluster.flags])
    timer.join()
    return moment, output


@pytest.mark.parametrize(
    ("fault", "seed"), [(kill_task_manager, 1), (kill_worker, 2), (stand_still, 3), (fill_disk, 4)]
)
def test_a_fault_changes_nothing(fault: Fault, seed: int, cluster: SessionCluster, undisturbed: Undisturbed) -> None:
    _, output = run_with(fault, cluster, undisturbed, seed)
    assert outcome(output) == (undisturbed.rows, undisturbed.counters)
    assert {path.name for path in output.iterdir()} == {"recommendations"}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(KILLS))
def test_kills_at_random_moments_change_nothing(seed: int, cluster: SessionCluster, undisturbed: Undisturbed) -> None:
    fault = (kill_task_manager, kill_worker)[seed % 2]
    moment, output = run_with(fault, cluster, undisturbed, seed)
    print(f"{fault.__name__} after {moment:.1f} of {undisturbed.seconds:.1f} s")
    assert outcome(output) == (undisturbed.rows, undisturbed.counters)
