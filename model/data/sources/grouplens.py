"""MovieLens as GroupLens publishes it, in folders and zips; their files tell the release."""

# ruff: noqa: SIM905 - list literals would take a line for each word

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from model import storage
from model.cli import InputError
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID, USER_RATING
from model.data.interactions import SCHEMA, SIDE_SCHEMA
from model.storage import first_line

LAYOUTS = "u.data, ratings.dat, or ratings.csv and movies.csv among its files"
REMEDY = "unpack or download the published archive again"

GENRES_100K = (
    "Unknown Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()
"""In the order of the flags in u.item. TensorFlow Datasets and later releases say Children for Children's."""

OCCUPATIONS_1M = (
    "other/not specified, academic/educator, artist, clerical/admin, college/grad student, customer service, "
    "doctor/health care, executive/managerial, farmer, homemaker, K-12 student, lawyer, programmer, retired, "
    "sales/marketing, scientist, self-employed, technician/engineer, tradesman/craftsman, unemployed, writer"
).split(", ")
"""In the order of the codes in users.dat, as the README of ml-1m lists them."""

AGE_BUCKETS = np.array([1, 18, 25, 35, 45, 50, 56], np.float32)
"""The least age of each bucket; the first bucket is everybody under 18."""


@dataclass(frozen=True)
class Release:
    """The files of one MovieLens dataset, in a folder or a zip."""

    where: str
    names: frozenset[str]
    open: Callable[[str], IO[bytes]]
    ratings: str
    """The name of the file of ratings, which tells the layout of the others."""

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises InputError where it is missing."""
        if name not in self.names:
            raise InputError(f"{self.where}: holds {self.ratings} but no {name}; {REMEDY}")
        with self.open(name) as file:
            return file.read()


def find_release(path: str) -> Release | None:
    """The MovieLens dataset at `path`: a folder, a zip, or a file of ratings such as `u1.base` beside the other files.

    Returns:
      None where `path` is something else.

    Raises:
      InputError: a zip that is damaged or holds no MovieLens dataset.
    """
    if storage.is_folder(path):
        return _release(path, _names_in(path), lambda name: storage.open_input(storage.join(path, name)))
    if path.endswith(".zip") and storage.exists(path):
        return _zipped(path)
    folder, _, name = path.rpartition("/")
    folder = folder or "."
    # The folds of ml-100k have names like u1.base, so the files beside them tell what they are.
    suffix = PurePosixPath(name).suffix
    companion = {".dat": "movies.dat", ".csv": "movies.csv"}.get(suffix, "u.item")
    if suffix in (".parquet", ".pq") or (suffix == ".csv" and not name.startswith("ratings")):
        return None
    if not (storage.exists(path) and storage.exists(storage.join(folder, companion))):
        return None
    return Release(folder, _names_in(folder), lambda name: storage.open_input(storage.join(folder, name)), name)


def read_release(release: Release) -> pa.Table:
    """The ratings with titles and side columns, in the order of the file of ratings.

    Titles are the same bytes as in TensorFlow Datasets. A rating of a movie that the dataset does not describe has a
    null title. Unknown side data are null.

    Raises:
      InputError: a file is missing or not as published.
    """
    try:
        if release.ratings.endswith(".dat"):
            ratings, movies, users = _ratings_dat(release), _movies_dat(release), _users_dat(release)
        elif release.ratings.endswith(".csv"):
            ratings, movies, users = _ratings_csv(release), _movies_csv(release), None
        else:
            ratings, movies, users = _ratings_100k(release), _movies_100k(release), _users_100k(release)
    except (ValueError, LookupError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{release.where}: not as GroupLens publishes it ({first_line(error)}); {REMEDY}") from None
    table = _join(ratings, "movie_id", movies)
    if users is not None:
        table = _join(table, USER_ID, users)
    return table.select([*SCHEMA.names, *(name for name in SIDE_SCHEMA.names if name in table.column_names)])


def _release(where: str, names: frozenset[str], opener: Callable[[str], IO[bytes]]) -> Release | None:
    for ratings in ("u.data", "ratings.dat", "ratings.csv"):
        # Any CSV file may be called ratings.csv.
        if ratings in names and (ratings != "ratings.csv" or "movies.csv" in names):
            return Release(where, names, opener, ratings)
    if "u.item" in names:
        raise InputError(f"{where}: holds u.item but no u.data; {REMEDY}, or name the file of ratings itself")
    return None


def _names_in(folder: str) -> frozenset[str]:
    return frozenset(PurePosixPath(path).name for path in storage.list_files(folder, recursive=False))


def _zipped(path: str) -> Release:
    try:
        archive = zipfile.ZipFile(storage.open_input(path))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a zip that can be read ({first_line(error)}); {REMEDY}") from None
    members = {
        PurePosixPath(name).name: name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/")
    }
    release = _release(path, frozenset(members), lambda name: archive.open(members[name]))
    if not release:
        raise InputError(f"{path}: holds no MovieLens dataset ({LAYOUTS}); {REMEDY}")
    return release


def _ratings_100k(release: Release) -> pa.Table:
    return _read_ratings(release, "\t", [USER_ID, "movie_id", USER_RATING, TIMESTAMP])


def _ratings_dat(release: Release) -> pa.Table:
    # Arrow takes one character only, so `::` is read as `:` with an empty column between two fields.
    return _read_ratings(release, ":", [USER_ID, "1", "movie_id", "3", USER_RATING, "5", TIMESTAMP])


def _ratings_csv(release: Release) -> pa.Table:
    table = _read_ratings(release, ",", None, ["userId", "movieId", "rating", "timestamp"])
    return table.rename_columns([USER_ID, "movie_id", USER_RATING, TIMESTAMP])


def _read_ratings(
    release: Release, delimiter: str, names: list[str] | None, wanted: list[str] | None = None
) -> pa.Table:
    """User, movie, rating and time. The columns of the file are `names`, or those in its first line for None."""
    wanted = wanted or [USER_ID, "movie_id", USER_RATING, TIMESTAMP]
    kinds = dict(zip(wanted, (pa.string(), pa.string(), pa.float32(), pa.int64()), strict=True))
    with release.open(release.ratings) as file:
        return csv.read_csv(
            file,
            csv.ReadOptions(column_names=names),
            csv.ParseOptions(delimiter=delimiter, quote_char=False),
            csv.ConvertOptions(column_types=kinds, include_columns=wanted),
        )


def _movies_100k(release: Release) -> pa.Table:
    rows = _records(release.read("u.item").decode("latin-1"), "|", 5 + len(GENRES_100K), "u.item")
    return _movies(
        (row[0], row[1], [genre for genre, flag in zip(GENRES_100K, row[5:], strict=True) if flag == "1"])
        for row in rows
    )


def _movies_dat(release: Release) -> pa.Table:
    content = release.read("movies.dat")
    try:
        text = content.decode("utf-8")  # ml-10m
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # ml-1m
    rows = _records(text, "::", 3, "movies.dat")
    return _movies((row[0], row[1], row[2].replace("Children's", "Children").split("|")) for row in rows)


def _movies_csv(release: Release) -> pa.Table:
    wanted = {"movieId": pa.string(), "title": pa.string(), "genres": pa.string()}
    table = csv.read_csv(
        pa.BufferReader(release.read("movies.csv")),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=wanted, include_columns=list(wanted)),
    )
    genres = pc.split_pattern(table["genres"], "|")
    return pa.table({"movie_id": table["movieId"], MOVIE_TITLE: table["title"], "movie_genres": genres})


def _users_100k(release: Release) -> pa.Table:
    rows = _records(release.read("u.user").decode("latin-1"), "|", 5, "u.user")
    ids, ages, genders, occupations, zips = zip(*rows, strict=True)
    raw_age = np.array(ages, np.float32)
    bucket = AGE_BUCKETS[np.maximum(np.searchsorted(AGE_BUCKETS, raw_age, side="right") - 1, 0)]
    return _users(ids, genders, occupations, zips, bucket).append_column("raw_user_age", pa.array(raw_age))


def _users_dat(release: Release) -> pa.Table | None:
    if "users.dat" not in release.names:
        return None  # ml-10m says nothing about its users.
    rows = _records(release.read("users.dat").decode("latin-1"), "::", 5, "users.dat")
    ids, genders, ages, codes, zips = zip(*rows, strict=True)
    return _users(ids, genders, [OCCUPATIONS_1M[int(code)] for code in codes], zips, np.array(ages, np.float32))


def _records(text: str, separator: str, width: int, name: str) -> list[list[str]]:
    """The fields of every line that is not blank. `str.splitlines` would also split at characters within titles."""
    rows = [line.rstrip("\r").split(separator) for line in text.split("\n") if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise ValueError(f"{name} line {number} has {len(row)} fields instead of {width}")
    if not rows:
        raise ValueError(f"{name} is empty")
    return rows


def _movies(rows: Iterable[tuple[str, str, list[str]]]) -> pa.Table:
    ids, titles, genres = zip(*rows, strict=True)
    return pa.table(
        {
            "movie_id": pa.array(ids),
            MOVIE_TITLE: pa.array(titles),
            "movie_genres": pa.array(genres, SIDE_SCHEMA.field("movie_genres").type),
        }
    )


def _users(
    ids: Iterable[str], genders: Iterable[str], occupations: Iterable[str], zips: Iterable[str], ages: np.ndarray
) -> pa.Table:
    return pa.table(
        {
            USER_ID: pa.array(ids),
            "bucketized_user_age": pa.array(ages),
            "user_gender": pa.array([gender == "M" for gender in genders]),
            "user_occupation_text": pa.array(occupations),
            "user_zip_code": pa.array(zips),
        }
    )


def _join(table: pa.Table, key: str, other: pa.Table) -> pa.Table:
    """`table` in its order with the columns of `other` added, null where `other` lacks the key."""
    rows = pc.index_in(table[key], value_set=other[key])
    for name in other.column_names:
        if name != key:
            table = table.append_column(name, pc.take(other[name].combine_chunks(), rows))
    return table
