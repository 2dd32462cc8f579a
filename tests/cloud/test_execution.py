"""The whole night, submitted to the stub and done: what is published in the bucket is what DirectRunner publishes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs import prepare, score
from tests import jobs
from tests.cloud.conftest import RunDataflow
from tests.cloud.execution import Execution
from tests.cloud.service import DataflowService
from tests.cloud.storage import BUCKET, Storage
from tests.cloud.workers import WorkerEnvironment

pytestmark = pytest.mark.engine

UNWANTED = ("tensorflow_recommenders", "tf_keras", "tensorflow_datasets", "matplotlib")


@pytest.fixture(scope="session")
def workers(tmp_path_factory: pytest.TempPathFactory) -> WorkerEnvironment:
    return WorkerEnvironment.create(tmp_path_factory.mktemp("worker") / "environment")


@pytest.fixture
def execution(
    storage: Storage,
    service: DataflowService,
    workers: WorkerEnvironment,
    environment: dict[str, str],
    tmp_path: Path,
) -> Execution:
    execution = Execution(storage, workers, environment, tmp_path / "logs")
    service.perform = execution.perform
    return execution


def rows(folder: Path) -> pa.Table:
    """Of published recommendations, in one order."""
    [partition] = (folder / "recommendations").iterdir()
    tables = [parquet.read_table(path, partitioning=None) for path in sorted(partition.glob("*.parquet"))]
    return pa.concat_tables(tables).sort_by([("user_id", "ascending"), ("rank", "ascending")])


def write_ratings(path: Path) -> None:
    """Interactions of the users and titles that the model of `tests.jobs` knows."""
    pairs = [(user, title) for user, seen in jobs.some_users() for title in seen]
    columns = {
        "user_id": [user for user, _ in pairs],
        "movie_title": [title for _, title in pairs],
        "user_rating": pa.array([3.0] * len(pairs), pa.float32()),
        "timestamp": pa.array(range(len(pairs)), pa.int64()),
    }
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.table(columns), path)


def test_the_night_from_ratings_to_published_rows(
    run_dataflow: RunDataflow,
    execution: Execution,
    service: DataflowService,
    storage: Storage,
    local_inputs: Path,
    tmp_path: Path,
) -> None:
    write_ratings(tmp_path / "ratings" / "part.parquet")
    storage.upload(tmp_path / "ratings", "ratings")
    storage.upload(local_inputs / "model", "model")
    gs = f"gs://{BUCKET}"
    done = run_dataflow(
        *("--project=test-project", "--region=us-central1", f"--model={gs}/model"),
        *(f"--dataset={gs}/ratings/*.parquet", f"--output={gs}/night", "--top_n=5", "--run_date=2026-11-24"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [job.request["name"].rpartition("-")[0] for job in service.jobs] == [
        "nightrank-prepare-20261124",
        "nightrank-score-20261124",
    ]
    assert [job.state for job in service.jobs] == ["JOB_STATE_DONE"] * 2
    assert f"published: {gs}/night/recommendations/run_date=2026-11-24" in done.stdout

    local = tmp_path / "local"
    prepare.main([f"--dataset={tmp_path}/ratings/part.parquet", f"--output={local}"])
    score.main(
        [
            *(f"--model={local_inputs}/model", f"--users={local}/users/*.parquet"),
            *(f"--candidates={local}/candidates/*.parquet", f"--output={local}", "--top_n=5", "--run_date=2026-11-24"),
        ]
    )
    storage.download("night", tmp_path / "cloud")
    found, expected = rows(tmp_path / "cloud"), rows(local)
    assert found.num_rows > 100
    assert found.equals(expected)
    assert not storage.list("night/_staging")


def test_a_job_that_fails_publishes_nothing(
    run_dataflow: RunDataflow, execution: Execution, service: DataflowService, storage: Storage, inputs: list[str]
) -> None:
    """The model is replaced between submission and work."""

    def replace_model(job: object) -> dict[str, int]:
        description = json.loads(storage.read(f"gs://{BUCKET}/model/model.json"))
        storage.write("model/model.json", json.dumps({**description, "model_version": "another"}).encode())
        return dict(execution.perform(job))

    service.perform = replace_model
    done = run_dataflow(*inputs)
    assert done.returncode == 1, done.stderr
    assert not storage.list("recommendations")


def test_a_worker_has_no_libraries_of_training(
    run_dataflow: RunDataflow, execution: Execution, workers: WorkerEnvironment, inputs: list[str]
) -> None:
    assert run_dataflow(*inputs).returncode == 0
    script = (
        "import sys, importlib.util, beam_jobs.score, beam_jobs.prepare, beam_jobs.ranker\n"
        f"print([name for name in {UNWANTED} if importlib.util.find_spec(name) or name in sys.modules])\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('keras', 'tensorflow')])\n"
        "print(beam_jobs.score.__file__)"
    )
    unwanted, loaded, place = workers.run("-c", script).splitlines()
    assert (unwanted, loaded) == ("[]", "[]")
    assert place.startswith(str(workers.folder))
