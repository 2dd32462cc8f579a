"""Become a Python worker of the engine that started this process.

An engine starts a worker with an id and an address that tells it the rest. This is Beam's container contract. Beam's
own boot program keeps it too, but first makes a Python environment for each worker; here the environment exists.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

SECONDS_TO_ANSWER = 60.0


def main(argv: Sequence[str]) -> None:
    """Run the worker until the engine hangs up."""
    parser = argparse.ArgumentParser(prog="python -m beam_jobs.engines.boot", description="Become a Beam worker.")
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    args, _ = parser.parse_known_args(argv)
    # Prism quotes the id as if for a shell, but uses no shell to start the worker.
    worker_id = args.id.strip("'")
    os.environ.update(environment_of(provision_info(args.provision_endpoint, worker_id), worker_id))
    sdk_worker_main.main([])


def provision_info(endpoint: str, worker_id: str) -> beam_provision_api_pb2.ProvisionInfo:
    """Ask the engine for everything that this worker needs to know."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        answer = stub.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker_id)],
            timeout=SECONDS_TO_ANSWER,
            wait_for_ready=True,
        )
    return answer.info


def environment_of(info: beam_provision_api_pb2.ProvisionInfo, worker_id: str) -> dict[str, str]:
    """Turn the engine's answer into the environment variables that Beam's worker reads."""
    return {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
