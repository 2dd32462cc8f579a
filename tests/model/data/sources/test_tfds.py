from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model.cli import InputError
from model.data.interactions import digest
from model.data.sources import read_interactions, tfds

NAME = "movielens/100k-ratings"


def test_what_tfds_prepared_is_what_grouplens_published(
    tfds_dir: Path, movielens_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a prepared dataset needs no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    prepared = read_interactions(NAME, tfds_data_dir=str(tfds_dir)).table
    published = read_interactions(str(movielens_dir)).table
    assert prepared.schema == published.schema
    assert digest(prepared) == digest(published)
    # The digest knows the required columns; movies, genres and users must agree too.
    order = [(name, "ascending") for name in ("user_id", "movie_id")]
    assert prepared.sort_by(order).equals(published.sort_by(order))
    assert prepared.slice(0, 1).select(["user_id", "movie_title", "user_rating"]).to_pylist() == [
        {"user_id": "138", "movie_title": "One Flew Over the Cuckoo's Nest (1975)", "user_rating": 4.0}
    ]


@pytest.fixture
def silent_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A site that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        monkeypatch.setattr(tfds, "SITE", f"http://127.0.0.1:{server.getsockname()[1]}/")
        yield


def check_ways_round(folder: Path, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^{NAME}: not prepared in {folder}[^\n]*{reason}[^\n]*$") as error:
        read_interactions(NAME, tfds_data_dir=str(folder))
    for way in ("a folder where TFDS has prepared it", "MovieLens folder or zip", "sample"):
        assert way in str(error.value)


def test_a_site_that_does_not_answer_is_given_up(
    tmp_path: Path, silent_site: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "PROBE_SECONDS", 0.2)
    check_ways_round(tmp_path, "timed out|no answer in 0.2 s")


def test_a_name_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(30)
        raise OSError("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(tfds, "PROBE_SECONDS", 0.2)
    try:
        check_ways_round(tmp_path, "no answer in 0.2 s")
    finally:
        released.set()


def test_no_network_is_told_before_tfds_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfds, "SITE", "http://127.0.0.1:9/")
    monkeypatch.setattr(tfds, "_import_tfds", lambda: pytest.fail("imported"))
    check_ways_round(tmp_path, "Connection refused")


def test_the_probe_fits_the_time_that_is_promised() -> None:
    assert tfds.PROBE_SECONDS <= 8


def test_tfds_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME / "0.1.1").mkdir(parents=True)
    (tmp_path / NAME / "0.1.1" / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match="install the extra 'train'"):
        read_interactions(NAME, tfds_data_dir=str(tmp_path))


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    for version in ("0.1.9", "0.1.10", "0.1.2"):
        (tmp_path / NAME / version).mkdir(parents=True)
        (tmp_path / NAME / version / "dataset_info.json").write_text("{}")
    assert tfds._find_prepared(NAME, str(tmp_path)) == f"{tmp_path}/{NAME}/0.1.10"


def test_a_damaged_folder_is_told(tmp_path: Path, tfds_dir: Path) -> None:
    (source,) = (tfds_dir / NAME).iterdir()
    target = tmp_path / NAME / source.name
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes()[:1_000_000])
    with pytest.raises(InputError, match=rf"^{target}: cannot be read as a TFDS dataset[^\n]*$"):
        read_interactions(NAME, tfds_data_dir=str(tmp_path))
