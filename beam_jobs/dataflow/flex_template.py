"""Start a job from a Flex template: Dataflow runs the template's launcher, which submits the job."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, PipelineOptions, WorkerOptions

from model.cli import FlagParser, InputError, RunError

WAYS = ("dataflow_endpoint", "impersonate_service_account")
"""Flags that say how Google is spoken to, which is no matter of the template's; `--no_auth` is one as well."""


def launch_request(path: str, parameters: Mapping[str, str], options: PipelineOptions) -> dict[str, Any]:
    """The body of `projects.locations.flexTemplates.launch`, without what is not set.

    Args:
      path: of the template's specification, gs://.
      parameters: of the template, by name.
      options: Beam's; those that the request has a field for go into it.
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
      Beam's result of a pipeline on Dataflow, by which to wait for the job.

    Raises:
      InputError: Dataflow refuses the request.
      RunError: Dataflow cannot be reached.
    """
    # Of the extra `gcp`, as all of Google's services.
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
    # As Beam does for jobs: only a service on this machine is spoken to by plain HTTP.
    local = "localhost" in endpoint
    client = dataflow_v1beta3.FlexTemplatesServiceClient(
        credentials=credentials or google.auth.credentials.AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=endpoint if local else re.sub("^https?://", "", endpoint)),
        transport="rest" if local else None,
    )
    message = dataflow_v1beta3.LaunchFlexTemplateRequest(project_id=cloud.project, location=cloud.region)
    json_format.ParseDict(dict(request), message._pb)
    try:
        job = client.launch_flex_template(message).job
    except exceptions.ClientError as error:
        raise InputError(
            f"--flex_template: Dataflow refuses it ({_first_line(error)}); build the template anew"
        ) from None
    except exceptions.GoogleAPICallError as error:
        raise RunError(f"Dataflow at {endpoint} could not start the template: {_first_line(error)}") from None
    runner = dataflow_runner.DataflowRunner()
    runner.dataflow_client = DataflowApplicationClient(options, cloud.staging_location)
    result = dataflow_runner.DataflowPipelineResult(job, runner, options)
    result.metric_results = DataflowMetrics(runner.dataflow_client, result)
    return result


def parameters_of(flags: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Flags, each with a value, as parameters of a template. Raises InputError for one that it does not have."""
    ways = FlagParser(prog="")
    for name in WAYS:
        ways.add_argument(f"--{name}")
    ways.add_argument("--no_auth", action="store_true")
    _, flags = ways.parse_known_args(flags)
    words = [word for flag in flags for word in flag.split("=", 1)]
    parameters = {}
    for flag, value in itertools.zip_longest(words[::2], words[1::2]):
        name = flag.removeprefix("--")
        if name not in names or value is None:
            raise InputError(f"{flag}: not a parameter of the template; leave it out, or submit without a template")
        parameters[name] = value
    return parameters


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
