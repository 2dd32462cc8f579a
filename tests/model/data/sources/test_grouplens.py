from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from model.cli import InputError
from model.data.sources import read_interactions
from model.data.sources.grouplens import find_release

COMEDY_DRAMA = "0|0|0|0|0|1|0|0|1|0|0|0|0|0|0|0|0|0|0"
COMEDY_FANTASY = "0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0|0|0|0"
ML_100K = {
    "u.data": b"1\t10\t3\t881250949\n2\t20\t4\t881250950\n1\t99\t5\t881250951\n",
    "u.item": (
        f"10|Caf\u00e9 au \x85 Lait (1993) |01-Jan-1993||http://x|{COMEDY_DRAMA}\n"
        f'20|"Quoted", The (1990)|01-Jan-1990||http://y|{COMEDY_FANTASY}\n'
    ).encode("latin-1"),
    "u.user": b"1|17|M|student|00501\n2|52|F|other|T8H1N\n",
}
ML_1M = {
    "ratings.dat": b"1::10::5::978300760\n2::20::3::978302109\n",
    "movies.dat": "10::L\u00e9on: The Professional (1994)::Children's|Drama\n20::Plain (1990)::Comedy\n".encode(
        "latin-1"
    ),
    "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072-1234\n",
}
ML_10M = {
    "ratings.dat": b"1::10::4.5::838985046\n",
    "movies.dat": "10::L\u00e9on: The Professional (1994)::Crime|Drama\n".encode(),
}
ML_LATEST = {
    "ratings.csv": b"userId,movieId,rating,timestamp\r\n1,10,4.5,964982703\r\n2,20,0.5,964981247\r\n",
    "movies.csv": (
        'movieId,title,genres\r\n10,"American President, The (1995)",Comedy|Drama\r\n'
        '20,"He said ""\u00e9"" (2001)",(no genres listed)\r\n'
    ).encode(),
    "links.csv": b"movieId,imdbId,tmdbId\r\n10,1,2\r\n",
}


def write(folder: Path, files: dict[str, bytes]) -> str:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def write_zip(path: Path, files: dict[str, bytes], inner: str) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(inner + name, content)
    return str(path)


def test_ml_100k(tmp_path: Path) -> None:
    interactions = read_interactions(write(tmp_path / "ml", ML_100K))
    assert interactions.table.to_pylist() == [
        {
            "user_id": "1",
            "movie_title": "Caf\u00e9 au \x85 Lait (1993) ",
            "user_rating": 3.0,
            "timestamp": 881250949,
            "movie_id": "10",
            "movie_genres": ["Comedy", "Drama"],
            "raw_user_age": 17.0,
            "bucketized_user_age": 1.0,
            "user_gender": True,
            "user_occupation_text": "student",
            "user_zip_code": "00501",
        },
        {
            "user_id": "2",
            "movie_title": '"Quoted", The (1990)',
            "user_rating": 4.0,
            "timestamp": 881250950,
            "movie_id": "20",
            "movie_genres": ["Comedy", "Fantasy"],
            "raw_user_age": 52.0,
            "bucketized_user_age": 50.0,
            "user_gender": False,
            "user_occupation_text": "other",
            "user_zip_code": "T8H1N",
        },
    ]
    assert interactions.rejects == {"no movie_title": 1}


def test_a_fold_of_ml_100k_is_read_with_the_files_beside_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "ml", {**ML_100K, "u1.base": b"2\t10\t1\t5\n"})
    table = read_interactions(f"{folder}/u1.base").table
    assert table.select(["user_id", "movie_title", "user_rating"]).to_pylist() == [
        {"user_id": "2", "movie_title": "Caf\u00e9 au \x85 Lait (1993) ", "user_rating": 1.0}
    ]


def test_ml_1m(tmp_path: Path) -> None:
    first, second = read_interactions(write(tmp_path / "ml", ML_1M)).table.to_pylist()
    assert first == {
        "user_id": "1",
        "movie_title": "L\u00e9on: The Professional (1994)",
        "user_rating": 5.0,
        "timestamp": 978300760,
        "movie_id": "10",
        "movie_genres": ["Children", "Drama"],
        "bucketized_user_age": 1.0,
        "user_gender": False,
        "user_occupation_text": "K-12 student",
        "user_zip_code": "48067",
    }
    assert (second["user_occupation_text"], second["user_zip_code"]) == ("self-employed", "70072-1234")


def test_ml_10m_has_half_stars_utf8_and_no_users(tmp_path: Path) -> None:
    (row,) = read_interactions(write(tmp_path / "ml", ML_10M)).table.to_pylist()
    assert (row["movie_title"], row["user_rating"]) == ("L\u00e9on: The Professional (1994)", 4.5)
    assert "user_gender" not in row


def test_ml_latest(tmp_path: Path) -> None:
    table = read_interactions(write(tmp_path / "ml", ML_LATEST)).table
    assert table["movie_title"].to_pylist() == ["American President, The (1995)", 'He said "\u00e9" (2001)']
    assert table["movie_genres"].to_pylist() == [["Comedy", "Drama"], ["(no genres listed)"]]
    assert table["user_rating"].to_pylist() == [4.5, 0.5]
    assert table.schema.field("movie_genres").type == pa.list_(pa.string())


@pytest.mark.parametrize("inner", ["", "ml-x/"])
@pytest.mark.parametrize("files", [ML_100K, ML_1M, ML_10M, ML_LATEST])
def test_a_zip_is_read_as_its_folder(tmp_path: Path, files: dict[str, bytes], inner: str) -> None:
    zipped = read_interactions(write_zip(tmp_path / "ml.zip", files, inner))
    folder = read_interactions(write(tmp_path / "ml", files))
    assert zipped.table.equals(folder.table)
    assert zipped.rejects == folder.rejects


@pytest.mark.parametrize(
    ("files", "broken", "message"),
    [
        (ML_100K, {"u.item": None}, "no u.item"),
        (ML_100K, {"u.user": None}, "no u.user"),
        (ML_100K, {"u.data": None}, "no u.data"),
        (ML_1M, {"movies.dat": None}, "no movies.dat"),
        (ML_100K, {"u.item": b"10|Title\n"}, "u.item line 1 has 2 fields"),
        (ML_100K, {"u.item": b""}, "u.item is empty"),
        (ML_100K, {"u.data": b"1\t10\n"}, "not as GroupLens publishes it"),
        (ML_100K, {"u.data": b"1\t10\tfive\t3\n"}, "five"),
        (ML_100K, {"u.data": b""}, "not as GroupLens publishes it"),
        (ML_1M, {"users.dat": b"1::F::1::77::48067\n"}, "not as GroupLens publishes it"),
        (ML_1M, {"ratings.dat": b"1,10,5,3\n"}, "not as GroupLens publishes it"),
        (ML_LATEST, {"movies.csv": b"id,name\n1,A\n"}, "movieId"),
        (ML_LATEST, {"ratings.csv": b"user,movie\n1,2\n"}, "userId"),
    ],
)
def test_a_malformed_folder_is_told_in_one_line(
    tmp_path: Path, files: dict[str, bytes], broken: dict[str, bytes | None], message: str
) -> None:
    left = {name: content for name, content in {**files, **broken}.items() if content is not None}
    with pytest.raises(InputError, match=message) as error:
        read_interactions(write(tmp_path / "ml", left))
    assert str(tmp_path / "ml") in str(error.value)
    assert "\n" not in str(error.value)


def test_zips_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip at all, but long enough to be searched for the end of one")
    for path in (tmp_path / "text.zip", Path(write_zip(tmp_path / "other.zip", {"a.txt": b"a"}, ""))):
        with pytest.raises(InputError, match=rf"^{path}: .*again$"):
            read_interactions(str(path))
    whole = Path(write_zip(tmp_path / "whole.zip", ML_100K, "")).read_bytes()
    (tmp_path / "damaged.zip").write_bytes(whole.replace(b"881250949", b"881250940"))
    with pytest.raises(InputError, match="CRC"):
        read_interactions(str(tmp_path / "damaged.zip"))


def test_other_paths_are_no_release(tmp_path: Path) -> None:
    for name in ("a.csv", "movies.csv", "u.item", "a.parquet"):
        (tmp_path / name).write_text("x")
    assert find_release(str(tmp_path / "a.parquet")) is None
    (tmp_path / "u.item").unlink()
    assert find_release(str(tmp_path)) is None
    assert find_release(str(tmp_path / "a.csv")) is None
    assert find_release("nothing") is None


def test_movielens_100k_as_published(movielens_dir: Path) -> None:
    interactions = read_interactions(str(movielens_dir))
    table = interactions.table
    assert table.num_rows == 100_000
    assert interactions.rejects == {}
    distinct = {name: pc.count_distinct(table[name]).as_py() for name in ("user_id", "movie_id", "movie_title")}
    assert distinct == {"user_id": 943, "movie_id": 1_682, "movie_title": 1_664}
    assert all(not column.null_count for column in table.columns)
    folds = [read_interactions(str(movielens_dir / name)).table for name in ("u1.base", "u1.test")]
    assert [fold.num_rows for fold in folds] == [80_000, 20_000]


def test_movielens_100k_zipped_is_the_folder(movielens_dir: Path, tmp_path: Path) -> None:
    files = {name: (movielens_dir / name).read_bytes() for name in ("u.data", "u.item", "u.user", "u.genre")}
    zipped = read_interactions(write_zip(tmp_path / "z.zip", files, "ml-100k/"))
    assert zipped.table.equals(read_interactions(str(movielens_dir)).table)
