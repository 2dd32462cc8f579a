"""What `./run_dataflow.sh` submits, as the Dataflow service receives it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import time
from pathlib import Path

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from tests import jobs
from tests.beam_jobs.dataflow.conftest import RunDataflow, Submit
from tests.beam_jobs.dataflow.service import DataflowService, Job
from tests.beam_jobs.dataflow.storage import BUCKET, Storage

KEY = "projects/p/locations/us-central1/keyRings/ring/cryptoKeys/key"


def pool(job: Job) -> dict:
    [pool] = job.request["environment"]["workerPools"]
    return pool


def test_a_job_with_default_settings(
    run_dataflow: RunDataflow, inputs: list[str], service: DataflowService, storage: Storage
) -> None:
    done = run_dataflow(*inputs, "--no_wait")
    assert done.returncode == 0, done.stderr
    [job] = service.jobs
    assert (job.project, job.region) == ("test-project", "us-central1")
    assert re.fullmatch(r"nightrank-score-20261124-[0-9a-f]{6}", job.request["name"])

    assert pool(job)["machineType"] == "n2-standard-4"
    assert pool(job)["numThreadsPerWorker"] == 2
    assert pool(job)["workerHarnessContainerImage"].endswith("beam_python3.11_sdk:2.77.0")
    experiments = job.request["environment"]["experiments"]
    assert "use_multiple_sdk_containers" in experiments
    assert "no_use_multiple_sdk_containers" not in experiments
    assert "numWorkers" not in pool(job)
    assert "ipConfiguration" not in pool(job)
    assert job.options["temp_location"].startswith(f"gs://{BUCKET}/dataflow/temp/nightrank-score-")

    page = f"https://console.cloud.google.com/dataflow/jobs/us-central1/{job.job_id}?project=test-project"
    lines = done.stdout.splitlines()
    assert lines[-2:] == [f"job       {job.request['name']}: {job.job_id}", f"          {page}"]


def test_the_package_is_staged_with_its_digest(
    submit: Submit, inputs: list[str], service: DataflowService, storage: Storage
) -> None:
    submit(*inputs, "--no_wait")
    [job] = service.jobs
    content = storage.read(job.options["pipelineUrl"])
    assert hashlib.sha256(content).hexdigest() == job.options["pipelineProtoHash"]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(content)
    [environment] = pipeline.components.environments.values()
    digests = {}
    for dependency in environment.dependencies:
        assert dependency.type_urn == common_urns.artifact_types.URL.urn
        payload = beam_runner_api_pb2.ArtifactUrlPayload.FromString(dependency.type_payload)
        assert hashlib.sha256(storage.read(payload.url)).hexdigest() == payload.sha256
        digests[payload.url.rpartition("/")[2]] = payload.url
    assert set(digests) - {"submission_environment_dependencies.txt"} == {"workflow.tar.gz"}
    assert [package["name"] for package in pool(job)["packages"]] == sorted(digests, key=list(digests).index)

    with tarfile.open(fileobj=io.BytesIO(storage.read(digests["workflow.tar.gz"]))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        information = archive.extractfile(archive.getnames()[0] + "/PKG-INFO").read().decode()
    assert {"model/artifact/model_json.py", "beam_jobs/score.py", "beam_jobs/prepare.py"} <= names
    base = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", information, re.MULTILINE)
    assert sorted(base) == ["apache-beam", "grpcio", "numpy", "protobuf", "pyarrow", "rich", "tensorflow"]


def test_every_flag_arrives(submit: Submit, inputs: list[str], service: DataflowService) -> None:
    flags = [
        "--worker_machine_type=n2-highmem-8",
        "--num_workers=3",
        "--max_num_workers=40",
        "--service_account_email=nightrank@test-project.iam.gserviceaccount.com",
        "--no_use_public_ips",
        "--subnetwork=regions/us-central1/subnetworks/inner",
        f"--dataflow_kms_key={KEY}",
        "--labels=team=films",
        "--labels=cost-centre=night_1",
        f"--staging_location=gs://{BUCKET}/elsewhere",
        "--sdk_container_image=us-docker.pkg.dev/test-project/nightrank/worker:1",
        "--disk_size_gb=77",
        "--experiments=shuffle_mode=service",
        "--min_score=0.5",
    ]
    submit(*inputs, "--no_wait", *flags)
    [job] = service.jobs
    expected = {
        "machineType": "n2-highmem-8",
        "numWorkers": 3,
        "diskSizeGb": 77,
        "ipConfiguration": 2,  # WORKER_IP_PRIVATE
        "subnetwork": "regions/us-central1/subnetworks/inner",
        "workerHarnessContainerImage": "us-docker.pkg.dev/test-project/nightrank/worker:1",
    }
    assert {name: pool(job).get(name) for name in expected} == expected
    assert pool(job)["autoscalingSettings"]["maxNumWorkers"] == 40
    environment = job.request["environment"]
    assert environment["serviceAccountEmail"] == "nightrank@test-project.iam.gserviceaccount.com"
    assert environment["serviceKmsKeyName"] == KEY
    assert "shuffle_mode=service" in environment["experiments"]
    assert job.request["labels"] == {"team": "films", "cost-centre": "night_1"}
    assert job.options["staging_location"].startswith(f"gs://{BUCKET}/elsewhere/")
    assert "setup_file" not in job.options
    assert not [package for package in pool(job).get("packages", []) if package["name"] == "workflow.tar.gz"]


def test_a_gpu_is_for_one_process(submit: Submit, inputs: list[str], service: DataflowService) -> None:
    submit(*inputs, "--no_wait", "--gpu=nvidia-tesla-t4", "--sdk_container_image=example.com/gpu:1")
    [job] = service.jobs
    assert pool(job)["machineType"] == "n1-standard-8"
    environment = job.request["environment"]
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert "use_multiple_sdk_containers" not in environment["experiments"]
    assert "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver" in environment["serviceOptions"]


def test_it_waits_shows_messages_and_fails_with_the_job(
    run_dataflow: RunDataflow, inputs: list[str], service: DataflowService
) -> None:
    def fail(_: Job) -> dict[str, int]:
        time.sleep(2)  # so that the command waits before the job ends
        raise OSError("the disk is full")

    service.perform = fail
    done = run_dataflow(*inputs)
    assert done.returncode == 1
    assert "Worker configuration: as in the test." in done.stderr
    assert (
        done.stderr.splitlines()[-1] == "failed: the pipeline failed: the disk is full; --log_level debug shows where"
    )
    assert service.jobs[0].job_id in done.stdout.splitlines()[-2]


def test_a_dry_run_shows_jobs_and_stages_and_touches_nothing(
    submit: Submit,
    inputs: list[str],
    service: DataflowService,
    storage: Storage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = storage.list()
    monkeypatch.setattr("beam_jobs.io.storage.check_writable", None)
    submit(*inputs, "--dry_run")
    said = capsys.readouterr().out
    assert storage.list() == before
    assert not service.jobs
    for text in ("beam_jobs.score", "--worker_machine_type=n2-standard-4", "Rank candidates", "nothing was submitted"):
        assert text in said


def test_a_dry_run_with_a_dataset_shows_both_jobs(
    submit: Submit, inputs: list[str], storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    before = storage.list()
    kept = [flag for flag in inputs if not flag.startswith(("--users", "--candidates"))]
    submit(*kept, f"--dataset=gs://{BUCKET}/ratings.csv", "--dry_run", "--min_score=1", "--disk_size_gb=50")
    said = capsys.readouterr().out
    assert storage.list() == before
    prepare, score = said.split("python -m ")[1:]
    assert "Collect histories" in prepare
    assert "min_score" not in prepare
    assert "--min_score=1" in score
    assert f"--users=gs://{BUCKET}/users/*.parquet" in score
    assert all("--disk_size_gb=50" in job for job in (prepare, score))
    assert "--with_vectors" not in said


def test_prepare_adds_the_vectors_that_a_model_has_beside_it(
    submit: Submit, inputs: list[str], storage: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.write_model(tmp_path / "model", apart=True)
    storage.upload(tmp_path / "model", "apart")
    kept = [flag for flag in inputs if not flag.startswith(("--users", "--candidates", "--model"))]
    model = f"gs://{BUCKET}/apart"
    submit(*kept, f"--model={model}", f"--dataset=gs://{BUCKET}/ratings.csv", "--dry_run")
    prepare, score = capsys.readouterr().out.split("python -m ")[1:]
    assert f"--with_vectors={model}" in prepare
    assert "--with_vectors" not in score
