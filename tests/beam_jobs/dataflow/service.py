"""A stub of the Dataflow API. It accepts jobs and Flex templates, and reports states, messages and counters."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.beam_jobs.dataflow.account import TOKEN

Document = Mapping[str, Any]
_PLACE = r"/v1b3/projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)"


@dataclass
class Job:
    """A job as it was submitted, with its state, messages and counters."""

    job_id: str
    project: str
    region: str
    request: Document
    """The body that created it."""
    state: str = "JOB_STATE_PENDING"
    messages: list[Document] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def options(self) -> Document:
        """The options that its workers get."""
        return self.request["environment"]["sdkPipelineOptions"]["options"]

    def say(self, text: str, importance: str = "JOB_MESSAGE_BASIC") -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.messages.append(
            {"id": str(len(self.messages)), "time": now, "messageText": text, "messageImportance": importance}
        )


Perform = Callable[[Job], Mapping[str, int]]
"""Performs a job and returns its counters; raises if the job fails."""
Launch = Callable[[Document], Document]
"""Turns a template's `launchParameter` into the request of a job."""


def succeed(job: Job) -> Mapping[str, int]:
    """Do nothing, as if the job had succeeded."""
    return {}


class DataflowService:
    """The service, with every request that it got."""

    def __init__(self, perform: Perform = succeed, launch: Launch | None = None) -> None:
        self.jobs: list[Job] = []
        self.launches: list[Document] = []
        """The bodies of the requests to launch a Flex template."""
        self.perform, self.launch = perform, launch
        self.address = ""

    def create(self, project: str, region: str, request: Document) -> Document:
        job = Job(f"2026-11-24_01_02_03-{len(self.jobs) + 1}", project, region, request)
        self.jobs.append(job)
        threading.Thread(target=self._work, args=[job], daemon=True).start()
        return self.describe(job)

    def describe(self, job: Job) -> Document:
        named = {"clientRequestId": job.request["clientRequestId"]} if "clientRequestId" in job.request else {}
        place = {"projectId": job.project, "location": job.region}
        return {"id": job.job_id, "name": job.request["name"], "currentState": job.state, **place, **named}

    def start_template(self, project: str, region: str, body: Document) -> Document:
        self.launches.append(body)
        parameter = body["launchParameter"]
        request = self.launch(parameter) if self.launch else {"name": parameter["jobName"]}
        return {"job": self.create(project, region, request)}

    def _work(self, job: Job) -> None:
        job.state = "JOB_STATE_RUNNING"
        job.say("Worker configuration: as in the test.")
        try:
            job.counters.update(self.perform(job))
        except Exception as error:
            job.say(f"Traceback (most recent call last):\n{error}", "JOB_MESSAGE_ERROR")
            job.state = "JOB_STATE_FAILED"
        else:
            job.say("Worker pool stopped.")
            job.state = "JOB_STATE_DONE"

    def answer(self, method: str, path: str, body: Document) -> Document | None:
        """The answer to a request; None if the service does not know it."""
        if method == "POST" and path == "/token":
            return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if method == "POST" and (place := re.fullmatch(f"{_PLACE}/jobs", path)):
            return self.create(place["project"], place["region"], body)
        if method == "POST" and (place := re.fullmatch(f"{_PLACE}/flexTemplates:launch", path)):
            return self.start_template(place["project"], place["region"], body)
        if method == "GET" and (
            place := re.fullmatch(f"{_PLACE}/jobs/(?P<job>[^/]+)(?P<what>/messages|/metrics)?", path)
        ):
            [job] = [job for job in self.jobs if job.job_id == place["job"]]
            if place["what"] == "/messages":
                return {"jobMessages": job.messages}
            return {"metrics": _metrics(job.counters)} if place["what"] else self.describe(job)
        return None


def _metrics(counters: Mapping[str, int]) -> list[Document]:
    context = {"namespace": "nightrank"}
    return [
        {"name": {"origin": "user", "name": name, "context": context | extra}, "scalar": value}
        for name, value in counters.items()
        for extra in ({}, {"tentative": "true"})
    ]


@contextlib.contextmanager
def serve(service: DataflowService) -> Iterator[DataflowService]:
    """Serve at `service.address` as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            body = json.loads(raw) if "json" in self.headers.get("Content-Type", "") and raw else {}
            said = service.answer(self.command, urlsplit(self.path).path, body)
            content = json.dumps(said if said is not None else {"error": {"message": "no such method"}}).encode()
            self.send_response(404 if said is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        service.address = f"http://localhost:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service
        finally:
            server.shutdown()
