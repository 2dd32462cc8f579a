"""Image, template and DAG agree with the parsers, the package and each other. Docker and Airflow are not needed."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from google.cloud import dataflow_v1beta3
from google.protobuf import json_format

from beam_jobs import score
from beam_jobs.dataflow import machines
from model.cli import InputError
from tests.beam_jobs.dataflow.conftest import TOP, Submit
from tests.beam_jobs.dataflow.service import DataflowService
from tests.beam_jobs.dataflow.storage import BUCKET

FOLDER = TOP / "beam_jobs" / "dataflow"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
TEMPLATE = json.loads((FOLDER / "score_template.json").read_text(encoding="utf-8"))
PARAMETERS = {parameter["name"]: parameter for parameter in TEMPLATE["parameters"]}
BEAMS = {"number_of_worker_harness_threads"}


def pins(path: Path) -> dict[str, frozenset[str]]:
    """The packages of a lock file with their versions, and the digests of each."""
    blocks = re.split(r"\n(?=[a-z])", path.read_text(encoding="utf-8").strip())
    return {block.split(" ")[0]: frozenset(re.findall(r"sha256:[0-9a-f]{64}", block)) for block in blocks}


def test_the_image_has_the_locked_packages() -> None:
    lock = pins(TOP / "locks" / "local.txt") | pins(TOP / "locks" / "gcp.txt")
    image = pins(FOLDER / "requirements.txt")
    assert len(image) > 100
    # TensorFlow requires it, and nothing imports it, so the environment here does without.
    own = {pin.partition("==")[0] for pin, _ in image.items() - lock.items()}
    assert own == {"libclang"}
    names = {pin.partition("==")[0] for pin in image}
    assert {"apache-beam", "tensorflow", "pyarrow", "google-cloud-storage"} <= names
    assert not {"tensorflow-recommenders", "tf-keras", "tensorflow-datasets", "matplotlib", "pytest"} & names


def test_the_image_has_the_locked_beam() -> None:
    [beam] = re.findall(r"^apache-beam(?:\[gcp\])?==(\S+)", (TOP / "locks" / "local.txt").read_text(), re.MULTILINE)
    assert re.findall(r"^ARG BEAM=(.*)$", DOCKERFILE, re.MULTILINE) == [beam]


def test_everything_that_the_image_copies_exists() -> None:
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", DOCKERFILE, re.MULTILINE)]
    paths = [path for paths in copied for path in paths]
    assert len(paths) >= 7
    assert [path for path in paths if not (TOP / path).exists()] == []
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert set(re.findall(r"--from=(\S+)", DOCKERFILE)) <= stages
    assert set(re.findall(r"--target (\S+)", DOCKERFILE)) <= stages


def test_workers_are_not_root() -> None:
    stage = DOCKERFILE[DOCKERFILE.index(" AS worker") : DOCKERFILE.index(" AS template")]
    assert re.findall(r"^ARG RUN_AS=(\S+)$", stage, re.MULTILINE) == ["nightrank"]
    assert re.findall(r"^USER (.*)$", stage, re.MULTILINE) == ["${RUN_AS}"]


def test_the_template_takes_what_the_job_takes() -> None:
    required = [name for name, parameter in PARAMETERS.items() if not parameter.get("isOptional")]
    with pytest.raises(InputError, match=f"are required: {', '.join(f'--{name}' for name in required)};"):
        score.build_parser().parse_args([])
    flags = vars(score.build_parser().parse_args([f"--{name}=gs://b/x" for name in required]))
    assert set(PARAMETERS) - BEAMS <= set(flags)
    defaults = {
        name: parameter["defaultValue"] for name, parameter in PARAMETERS.items() if "defaultValue" in parameter
    }
    assert defaults == {
        "top_n": str(flags["top_n"]),
        "number_of_worker_harness_threads": str(machines.THREADS),
    }
    assert all(parameter["label"] and parameter["helpText"] for parameter in TEMPLATE["parameters"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("model", "gs://b/model", "/model"),
        ("users", "gs://b/users/*.parquet", "users"),
        ("top_n", "20", "0"),
        ("run_date", "2026-11-24", "24.11.2026"),
        ("min_score", "-1.5", "much"),
    ],
)
def test_parameters_have_the_form_that_the_job_wants(name: str, good: str, bad: str) -> None:
    [pattern] = PARAMETERS[name]["regexes"]
    assert re.fullmatch(pattern, good)
    assert not re.fullmatch(pattern, bad)


def test_the_launcher_runs_the_job() -> None:
    [path] = re.findall(r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert f"COPY beam_jobs/dataflow/score_job.py {path}" in DOCKERFILE
    imports = ast.dump(ast.parse((FOLDER / "score_job.py").read_text(encoding="utf-8")))
    assert "beam_jobs.score" in imports


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that the DAG gives to the operator. Airflow is replaced by a recorder."""
    given: dict[str, Any] = {}

    class Dag:
        def __init__(self, **settings: Any) -> None:
            given["dag"] = settings

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    names = ["airflow", "airflow.models", "airflow.models.dag", "airflow.providers", "airflow.providers.google"]
    place = "airflow.providers.google.cloud"
    for name in [*names, place, f"{place}.operators", f"{place}.operators.dataflow"]:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["airflow.models.dag"].DAG = Dag  # type: ignore[attr-defined]
    operator = SimpleNamespace(start=lambda **settings: given.update(operator=settings))
    sys.modules[f"{place}.operators.dataflow"].DataflowStartFlexTemplateOperator = operator.start  # type: ignore[attr-defined]
    code = (FOLDER / "airflow_dag.py").read_text(encoding="utf-8")
    exec(compile(code, "airflow_dag.py", "exec"), {"__name__": "dag"})
    return given


def test_the_dag_gives_parameters_that_the_template_has(dag: dict[str, Any]) -> None:
    body = dag["operator"]["body"]
    parameters = body["launchParameter"]["parameters"]
    required = {name for name, parameter in PARAMETERS.items() if not parameter.get("isOptional")}
    assert required <= set(parameters) <= set(PARAMETERS)
    # This refuses a field that the API does not have.
    json_format.ParseDict(body, dataflow_v1beta3.LaunchFlexTemplateRequest()._pb)
    assert body["launchParameter"]["environment"]["machineType"] == machines.DEFAULT


def test_a_template_is_launched_by_the_request_that_the_api_documents(
    submit: Submit, inputs: list[str], service: DataflowService, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(
        *inputs,
        f"--flex_template=gs://{BUCKET}/templates/score.json",
        "--no_wait",
        *("--min_score", "0.5"),
        *("--labels=team=films", "--no_use_public_ips", "--max_num_workers=9", "--sdk_container_image=example.com/w:1"),
    )
    [body] = service.launches
    launch = body["launchParameter"]
    assert launch["containerSpecGcsPath"] == f"gs://{BUCKET}/templates/score.json"
    assert launch["parameters"] == {
        "model": f"gs://{BUCKET}/model",
        "users": f"gs://{BUCKET}/users/*.parquet",
        "candidates": f"gs://{BUCKET}/candidates/*.parquet",
        "output": f"gs://{BUCKET}",
        "top_n": "5",
        "run_date": "2026-11-24",
        "min_score": "0.5",
        "number_of_worker_harness_threads": "2",
    }
    environment = launch["environment"]
    assert environment["maxWorkers"] == 9
    assert environment["ipConfiguration"] in (2, "WORKER_IP_PRIVATE")
    assert environment["additionalUserLabels"] == {"team": "films"}
    assert environment["sdkContainerImage"] == "example.com/w:1"
    assert service.jobs[0].job_id in capsys.readouterr().out.splitlines()[-2]
