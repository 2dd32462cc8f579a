"""Whole nights, submitted to the stub and performed. The bucket then has the same rows as DirectRunner publishes.

The night uses MovieLens 100K if it is available.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_jobs import prepare, score
from model.cli import InputError
from tests import jobs
from tests.beam_jobs.dataflow.conftest import TOP, RunDataflow, Submit
from tests.beam_jobs.dataflow.execution import Execution
from tests.beam_jobs.dataflow.launcher import Launcher
from tests.beam_jobs.dataflow.service import DataflowService, Job
from tests.beam_jobs.dataflow.storage import BUCKET, Storage
from tests.beam_jobs.dataflow.workers import WorkerEnvironment

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
    """Published recommendations, sorted by user and rank."""
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
    model = local_inputs / "model"
    if movielens := os.environ.get("MOVIELENS_100K_DIR"):
        jobs.write_movielens(tmp_path, Path(movielens))
        model = tmp_path / "model"
    else:
        write_ratings(tmp_path / "ratings" / "part.parquet")
    storage.upload(tmp_path / "ratings", "ratings")
    storage.upload(model, "model")
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
            *(f"--model={model}", f"--users={local}/users/*.parquet"),
            *(f"--candidates={local}/candidates/*.parquet", f"--output={local}", "--top_n=5", "--run_date=2026-11-24"),
        ]
    )
    storage.download("night", tmp_path / "cloud")
    found, expected = rows(tmp_path / "cloud"), rows(local)
    assert found.num_rows == 943 * 5 if movielens else found.num_rows > 100
    assert found.equals(expected)
    assert not storage.list("night/_staging")


def test_a_job_that_fails_publishes_nothing(
    submit: Submit,
    execution: Execution,
    service: DataflowService,
    storage: Storage,
    inputs: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The model is replaced after submission and before the job works."""

    def replace_model(job: Job) -> dict[str, int]:
        description = json.loads(storage.read(f"gs://{BUCKET}/model/model.json"))
        storage.write("model/model.json", json.dumps({**description, "model_version": "another"}).encode())
        return dict(execution.perform(job))

    service.perform = replace_model
    with pytest.raises(InputError, match=r"gs://.*/model: holds another now, but the run began with \S+; run it again"):
        submit(*inputs)
    assert service.jobs[0].job_id in capsys.readouterr().out.splitlines()[-2]
    assert not storage.list("recommendations")


@pytest.fixture(scope="session")
def expected(local_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The rows that DirectRunner publishes from `inputs`."""
    output = tmp_path_factory.mktemp("expected")
    tables = (f"--users={local_inputs}/users/*.parquet", f"--candidates={local_inputs}/candidates/*.parquet")
    score.main([f"--model={local_inputs}/model", *tables, f"--output={output}", "--top_n=5", "--run_date=2026-11-24"])
    return rows(output)


def test_a_flex_template_publishes_the_same(
    submit: Submit,
    inputs: list[str],
    execution: Execution,
    workers: WorkerEnvironment,
    service: DataflowService,
    storage: Storage,
    environment: dict[str, str],
    expected: pa.Table,
    tmp_path: Path,
) -> None:
    workers.install_checkout()
    service.launch = Launcher(storage, workers, environment, tmp_path).launch
    submit(*inputs, f"--flex_template=gs://{BUCKET}/t.json", "--sdk_container_image=example.com/template:1")
    assert [job.state for job in service.jobs] == ["JOB_STATE_DONE"]
    storage.download("recommendations", tmp_path / "cloud" / "recommendations")
    assert rows(tmp_path / "cloud").equals(expected)


def test_the_job_alone_as_a_program_publishes_the_same_and_its_workers_have_no_libraries_of_training(
    inputs: list[str],
    execution: Execution,
    workers: WorkerEnvironment,
    service: DataflowService,
    storage: Storage,
    environment: dict[str, str],
    expected: pa.Table,
    tmp_path: Path,
) -> None:
    """Classes of `python -m beam_jobs.score` are in `__main__`, which is another module on a worker."""
    beams = (f"--dataflow_endpoint={service.address}", f"--temp_location=gs://{BUCKET}/t", "--runner=DataflowRunner")
    subprocess.run(
        [sys.executable, "-m", "beam_jobs.score", *inputs, *beams, f"--setup_file={TOP / 'setup.py'}"],
        env={**os.environ, **environment, "PYTHONPATH": str(TOP)},
        cwd=tmp_path,
        check=True,
    )
    storage.download("recommendations", tmp_path / "cloud" / "recommendations")
    assert rows(tmp_path / "cloud").equals(expected)

    script = (
        "import sys, importlib.util, beam_jobs.score, beam_jobs.prepare, beam_jobs.scoring.loaded_model\n"
        f"print([name for name in {UNWANTED} if importlib.util.find_spec(name)])\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('keras', 'tensorflow')])\n"
        "import tensorflow\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'keras'])\n"
        "print(beam_jobs.score.__file__)"
    )
    unwanted, loaded, keras, place = workers.run("-c", script).splitlines()
    assert (unwanted, loaded, keras) == ("[]", "[]", "[]")
    assert place.startswith(str(workers.folder))
