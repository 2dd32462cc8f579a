"""A mistake gives one clear line with the remedy, before anything is staged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.cli import InputError
from tests.beam_jobs.dataflow.conftest import RunDataflow, Submit
from tests.beam_jobs.dataflow.service import DataflowService
from tests.beam_jobs.dataflow.storage import BUCKET, Storage

GS = f"gs://{BUCKET}"

WRONG = [
    (["--project=My Project"], "--project My Project: not of its form; give the project's id, such as"),
    (["--region=us-central1-a"], "--region us-central1-a: a zone; give --region us-central1"),
    (["--region=USA"], "--region USA: not of its form; give a region, such as us-central1"),
    (["--run_date=24.11.2026"], "--run_date 24.11.2026: not a date; write it as YYYY-MM-DD"),
    (["--top_n=0"], "--top_n is 0; give a whole number of at least 1"),
    (["--top_n=many"], "argument --top_n: invalid int value: 'many'; see nightrank dataflow --help"),
    (["--labels=Team=Films"], "--labels Team=Films: write it key=value in lower-case letters"),
    (["--service_account_email=me@example.com"], "me@example.com: not of its form; give an account like"),
    (
        ["--worker_machine_type=n2-standart-4"],
        "--worker_machine_type n2-standart-4: not a machine type known here; write it like",
    ),
    (["--worker_machine_type=n2-highcpu-2", "--min_score=x"], "argument --min_score: invalid float value: 'x'"),
    (["--num_workers=9", "--max_num_workers=3"], "--num_workers 9 is more than --max_num_workers 3; raise"),
    (["--max_num_workers=0"], "--max_num_workers is 0; give a whole number of at least 1"),
    (["--dataset=sample"], "--dataset makes users and candidates; give it without --users and --candidates"),
    (["--users=/home/me/users"], "--users /home/me/users: workers cannot reach it; copy it to a bucket"),
    (["--model=runs/local/model"], "--model runs/local/model: workers cannot reach it; copy it to a bucket"),
    (["--staging_location=local/x"], "--staging_location local/x: not of its form; workers read there"),
    (["--subnetwork=regions/europe-west1/subnetworks/a"], "is in europe-west1 and the job in us-central1"),
    (["--dataflow_kms_key=key"], "--dataflow_kms_key key: not of its form; write it projects/P/locations"),
    (["--max_num_wrokers=3"], "--max_num_wrokers is a flag of neither this job nor Beam; did you mean"),
    (["--gpu=nvidia-tesla-t4"], "--gpu: Beam's own image has no CUDA; build the gpu image"),
    (["--gpu=tpu"], "--gpu tpu: not a GPU known here; give one of nvidia-tesla-t4"),
    (["--gpu=nvidia-l4", "--worker_machine_type=n2-standard-4"], "n2-standard-4 takes none; choose one of the kind"),
    (["--output=gs://no-such-bucket/x"], "there is no bucket gs://no-such-bucket; make it with `gcloud storage"),
    (["--setup_file=none/setup.py"], "--setup_file none/setup.py: there is no such setup.py, as in an installed Night"),
    ([f"--model={GS}/nothing"], f"--model {GS}/nothing: no file is there; check the path"),
    ([f"--users={GS}/none/*.parquet"], f"--users {GS}/none/*.parquet: no file matches; check the path"),
    ([f"--flex_template={GS}/t.json", "--disk_size_gb=5"], "--disk_size_gb: not a parameter of the template"),
]


@pytest.mark.parametrize(("flags", "says"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_flag_is_one_line_and_nothing_is_staged(
    flags: list[str],
    says: str,
    submit: Submit,
    inputs: list[str],
    service: DataflowService,
    storage: Storage,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = storage.list()
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        submit(*inputs, *flags)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
    assert storage.list() == before
    assert not service.jobs
    assert not service.launches


def test_a_changed_model_is_found(submit: Submit, inputs: list[str], storage: Storage) -> None:
    storage.write("model/saved_model.pb", b"something else")
    before = storage.list()
    with pytest.raises(InputError, match=rf"{GS}/model/saved_model.pb: its 14 bytes do not match the digest") as caught:
        submit(*inputs, "--no_wait")
    assert "/tmp" not in str(caught.value)
    assert storage.list() == before


def test_a_local_parquet_dataset_cannot_be_read_by_workers(submit: Submit, inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "ratings.parquet").write_bytes(b"")
    kept = [flag for flag in inputs if not flag.startswith(("--users", "--candidates"))]
    with pytest.raises(InputError, match=r"--dataset .*ratings.parquet: workers cannot reach it"):
        submit(*kept, f"--dataset={tmp_path}/ratings.parquet")


def test_the_script_exits_with_2_and_only_the_line(run_dataflow: RunDataflow, inputs: list[str]) -> None:
    done = run_dataflow(*inputs, "--region=us-central1-a")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: --region us-central1-a: a zone; .*\n", done.stderr)
