"""An emulated Cloud Storage on this machine."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from gcp_storage_emulator.server import create_server
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from beam_jobs.engines.processes import free_ports

BUCKET = "nightrank-test"


class Storage:
    """The bucket `BUCKET`, which is empty at first."""

    def __init__(self, address: str) -> None:
        self.address = address
        """The value of `STORAGE_EMULATOR_HOST`."""
        client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": address})
        self._bucket = client.bucket(BUCKET)

    def list(self, prefix: str = "") -> list[str]:
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))

    def read(self, path: str) -> bytes:
        """Read an object by its gs:// address."""
        return self._bucket.blob(path.removeprefix(f"gs://{BUCKET}/")).download_as_bytes()

    def write(self, name: str, content: bytes) -> None:
        self._bucket.blob(name).upload_from_string(content)

    def upload(self, folder: Path, name: str) -> None:
        """Upload every file below a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.write(f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def download(self, name: str, folder: Path) -> None:
        """Download every object below a name."""
        for found in self.list(f"{name}/"):
            path = folder / found.removeprefix(f"{name}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(f"gs://{BUCKET}/{found}"))

    def clear(self) -> None:
        for name in self.list():
            self._bucket.blob(name).delete()


@contextlib.contextmanager
def emulated_storage() -> Iterator[Storage]:
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    for name in ("gcp_storage_emulator.server", "api.bucket", "api.object"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    [port] = free_ports(1)
    server = create_server("localhost", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield Storage(f"http://localhost:{port}")
    finally:
        server.stop()
