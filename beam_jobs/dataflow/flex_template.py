"""Start a job from a Flex template. Dataflow then runs the launcher of the template, which submits the job."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, PipelineOptions, WorkerOptions

from model.cli import FlagParser, InputError, RunError

TEMPLATE = Path(__file__).with_name("score_template.json")
"""The metadata of the template, with its parameters."""
_CONNECTION = ("dataflow_endpoint", "impersonate_service_account")
"""Flags, beside `--no_auth`, about how to reach Google. They are not for the template."""


def launch_request(path: str, parameters: Mapping[str, str], options: PipelineOptions) -> dict[str, Any]:
    """Make the body of a call of `projects.locations.flexTemplates.launch`. Fields that are not set are left out.

    Args:
      path: the gs:// address of the template's specification.
      parameters: the parameters of the template by name.
      options: Beam's options. The request gets those for which it has a field.
    """
    cloud, worker = options.view_as(GoogleCloudOptions), options.view_as(WorkerOptions)
    environment = {
        "numWorkers": worker.num_workers,
        "maxWorkers": worker.max_num_workers,
        "machineType": worker.machine_type,
        "serviceAccountEmail": cloud.service_account_email,
        "tempLocation": cloud.temp_location,
        "stagingLocation": cloud.staging_location,
        "subnetwork": worker.subnetwork,
        "kmsKeyName": cloud.dataflow_kms_key,
        "ipConfiguration": "WORKER_IP_PRIVATE" if worker.use_public_ips is False else None,
        "sdkContainerImage": worker.sdk_container_image,
        "additionalExperiments": options.view_as(DebugOptions).experiments,
        "additionalUserLabels": dict(label.split("=", 1) for label in cloud.labels or []),
    }
    return {
        "launchParameter": {
            "jobName": cloud.job_name,
            "containerSpecGcsPath": path,
            "parameters": dict(parameters),
            "environment": {name: value for name, value in environment.items() if value},
        }
    }


def launch(request: Mapping[str, Any], options: PipelineOptions) -> Any:
    """Send the request.

    Returns:
      Beam's result for a pipeline on Dataflow, which can wait for the job.

    Raises:
      InputError: Dataflow refuses the request.
      RunError: Dataflow cannot be reached.
    """
    # Google's libraries come with the extra `gcp`, so they are imported only when needed.
    import google.auth.credentials
    from apache_beam.internal.gcp.auth import get_service_credentials
    from apache_beam.runners.dataflow import dataflow_runner
    from apache_beam.runners.dataflow.dataflow_metrics import DataflowMetrics
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient
    from google.api_core import exceptions
    from google.api_core.client_options import ClientOptions
    from google.cloud import dataflow_v1beta3
    from google.protobuf import json_format

    cloud = options.view_as(GoogleCloudOptions)
    credentials = None if cloud.no_auth else get_service_credentials(options)
    endpoint = cloud.dataflow_endpoint.strip().rstrip("/")
    # Beam does the same for jobs: it speaks plain HTTP only to a service on this machine.
    local = "localhost" in endpoint
    client = dataflow_v1beta3.FlexTemplatesServiceClient(
        credentials=credentials or google.auth.credentials.AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=endpoint if local else re.sub("^https?://", "", endpoint)),
        transport="rest" if local else None,
    )
    path = request["launchParameter"]["containerSpecGcsPath"]
    message = dataflow_v1beta3.LaunchFlexTemplateRequest(project_id=cloud.project, location=cloud.region)
    json_format.ParseDict(dict(request), message._pb)
    try:
        job = client.launch_flex_template(message).job
    except exceptions.ClientError as error:
        raise InputError(f"{path}: Dataflow refuses the template ({_first_line(error)}); build it again") from None
    except exceptions.GoogleAPICallError as error:
        raise RunError(f"Dataflow at {endpoint} could not start the template: {_first_line(error)}") from None
    runner = dataflow_runner.DataflowRunner()
    runner.dataflow_client = DataflowApplicationClient(options, cloud.staging_location)
    result = dataflow_runner.DataflowPipelineResult(job, runner, options)
    result.metric_results = DataflowMetrics(runner.dataflow_client, result)
    return result


def parameters_of(flags: Sequence[str]) -> dict[str, str]:
    """Turn flags into parameters of the template. Raises InputError for a flag that the template does not have."""
    names = [parameter["name"] for parameter in json.loads(TEMPLATE.read_text(encoding="utf-8"))["parameters"]]
    connection = FlagParser(prog="")
    for name in _CONNECTION:
        connection.add_argument(f"--{name}")
    connection.add_argument("--no_auth", action="store_true")
    _, others = connection.parse_known_args(flags)
    words = [word for flag in others for word in flag.split("=", 1)]
    parameters = {}
    for flag, value in itertools.zip_longest(words[::2], words[1::2]):
        name = flag.removeprefix("--")
        if name not in names or value is None:
            raise InputError(f"{flag}: not a parameter of the template; leave it out, or submit without a template")
        parameters[name] = value
    return parameters


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
