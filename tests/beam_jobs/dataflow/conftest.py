"""A bucket and a Dataflow service for each test, and the environment variables that lead to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beam_jobs import nightly
from beam_jobs.pipeline import execution
from tests import jobs
from tests.beam_jobs.dataflow.account import write_account
from tests.beam_jobs.dataflow.service import DataflowService, serve
from tests.beam_jobs.dataflow.storage import BUCKET, Storage, emulated_storage

TOP = Path(__file__).parents[3]

RunDataflow = Callable[..., subprocess.CompletedProcess[str]]
Submit = Callable[..., None]


@pytest.fixture(scope="session")
def shared_storage() -> Iterator[Storage]:
    with emulated_storage() as storage:
        yield storage


@pytest.fixture
def storage(shared_storage: Storage) -> Storage:
    """An empty bucket."""
    shared_storage.clear()
    return shared_storage


@pytest.fixture
def service() -> Iterator[DataflowService]:
    with serve(DataflowService()) as service:
        yield service


@pytest.fixture(scope="session")
def local_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, users and candidates on this machine."""
    folder = tmp_path_factory.mktemp("inputs")
    jobs.write_model(folder / "model")
    jobs.write_users(folder / "users" / "part.parquet", jobs.some_users())
    jobs.write_candidates(folder / "candidates" / "part.parquet", jobs.some_titles())
    return folder


@pytest.fixture
def inputs(storage: Storage, local_inputs: Path) -> list[str]:
    """The flags of a night whose inputs are in the bucket."""
    for name in ("model", "users", "candidates"):
        storage.upload(local_inputs / name, name)
    return [
        "--project=test-project",
        "--region=us-central1",
        f"--model=gs://{BUCKET}/model",
        f"--users=gs://{BUCKET}/users/*.parquet",
        f"--candidates=gs://{BUCKET}/candidates/*.parquet",
        f"--output=gs://{BUCKET}",
        "--top_n=5",
        "--run_date=2026-11-24",
    ]


@pytest.fixture
def environment(storage: Storage, service: DataflowService, tmp_path: Path) -> dict[str, str]:
    """Variables that put Google Cloud on this machine."""
    write_account(tmp_path / "account.json", f"{service.address}/token")
    return {
        "STORAGE_EMULATOR_HOST": storage.address,
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"),
    }


@pytest.fixture
def submit(environment: dict[str, str], service: DataflowService, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Run `nightrank dataflow` in this process, where TensorFlow is loaded once for all tests. Raises its errors."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(execution, "submitted", [])
    return lambda *flags: nightly.main([*flags, f"--dataflow_endpoint={service.address}"])


@pytest.fixture
def run_dataflow(environment: dict[str, str], service: DataflowService, tmp_path: Path) -> RunDataflow:
    """Run `./run_dataflow.sh` from a folder outside the checkout."""

    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(TOP / "run_dataflow.sh"), *flags, f"--dataflow_endpoint={service.address}"],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            cwd=tmp_path,
            check=False,
        )

    return run
