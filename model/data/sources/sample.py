"""The sample: interactions generated from a seed, shaped like MovieLens 100K, with tastes that a model can learn."""

# ruff: noqa: SIM905 - list literals would take a line for each word

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.data.interactions import SCHEMA, SIDE_SCHEMA

USERS, TITLES, RATINGS = 1_000, 1_700, 100_000
MINIMUM_PER_USER = 20
START = 1_695_168_000
"""2023-09-20."""
SPAN = 214 * 86_400
"""Seven months, in seconds."""
FACTORS = 4
DESCRIBED = 0.8
"""The share of users that have side data."""

GENRES = (
    "Action Adventure Animation Children Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical Mystery "
    "Romance Sci-Fi Thriller War Western"
).split()
OCCUPATIONS = "artist doctor educator engineer executive lawyer librarian retired scientist student writer".split()
FIRST_WORDS = (
    "Amber Autumn Bitter Blue Borrowed Brass Broken Burning Café Clever Copper Crimson Crooked Distant Double Dusty "
    "Electric Emerald Empty Endless Fallen Final Forgotten Frozen Gentle Golden Half Hidden Hollow Honest Iron "
    "Ivory Last Little Lonely Long Lost Lucky Midnight Northern Paper Patient Perfect Quiet Red Restless Rolling "
    "Salt Scarlet Second Secret Señor Silent Silver Sleeping Southern Stolen Sudden Summer Velvet Wandering Western "
    "Wild Winter"
).split()
SECOND_WORDS = (
    "Alibi Anchor Angel Arcade Avenue Ballad Bargain Bridge Cabin Carnival Castle Circus Comet Compass Corner "
    "Country Dancer Daughter Desert Detective Echo Empire Fortune Garden Ghost Harbor Horizon Hotel Hour Island "
    "Journey Justice Kingdom Ladder Lantern Letter Lighthouse Machine Mirror Morning Mountain Orchard Passage Pilot "
    "Planet Promise Railway River Road Saint Season Shadow Signal Station Stranger Sunday Telegram Theater Tiger "
    "Valley Violin Waltz Winter Witness"
).split()


@dataclass(frozen=True)
class _World:
    """What the ratings are generated from. U users, M movies, G genres, F factors."""

    genres: np.ndarray
    """`float[M, G]`, rows adding up to 1."""
    popularity: np.ndarray
    """`float[M]`"""
    movie_bias: np.ndarray
    """`float[M]`"""
    user_bias: np.ndarray
    """`float[U]`"""
    taste: np.ndarray
    """`float[U, M]`: how much more than most people this user likes this movie; negative for less."""


def read_sample() -> pa.Table:
    """100,000 interactions of 1,000 users with about 1,700 titles, in order of time, the same bytes on every machine.

    A rating is the sum of the movie's bias, the user's bias, the user's taste for the movie's genres, and noise. Users
    choose what is popular and what they like, arrive over seven months, and rate in sittings. Most have side data.
    """
    # The stream of RandomState never changes, that of a Generator may. From here on only +, -, *, /, comparisons and
    # sorts are used, element by element: these round alike on every machine; exp, log and matrix products do not.
    random = np.random.RandomState(20_231_005)
    world = _make_world(random)
    users, movies = _choose(random, world)
    times = _times(random, users)
    score = 3.05 + world.movie_bias[movies] + world.user_bias[users] + world.taste[users, movies]
    ratings = np.clip(np.floor(score + 0.7 * _normal(random, len(users)) + 0.5), 1, 5)
    order = np.lexsort((movies, users, times))
    users, movies = users[order], movies[order]

    required = [pa.array(np.arange(1, USERS + 1).astype(str)).take(users), _titles(random).take(movies)]
    measured = [pa.array(ratings[order].astype(np.float32)), pa.array(times[order])]
    table = pa.table([*required, *measured], schema=SCHEMA)
    table = table.append_column("movie_id", pa.array(np.arange(1, TITLES + 1).astype(str)).take(movies))
    table = table.append_column("movie_genres", _genre_names(world.genres).take(movies))
    for name, values in _side_data(random).items():
        table = table.append_column(name, values.take(users))
    return table


def _make_world(random: np.random.RandomState) -> _World:
    chosen = random.random_sample((TITLES, len(GENRES))).argsort(axis=1, kind="stable")[:, :3]
    genres = np.zeros((TITLES, len(GENRES)))
    for place, share in enumerate((1.0, 0.5, 0.25)):
        # Every movie has a first genre, six in ten a second, and three in ten a third.
        has = random.random_sample(TITLES) < (1.0, 0.6, 0.5)[place]
        keep = has if place == 0 else has & (genres[np.arange(TITLES), chosen[:, place - 1]] > 0)
        genres[np.arange(TITLES)[keep], chosen[keep, place]] = share
    rank = random.permutation(TITLES)
    popularity = 1 / ((rank + 200.0) * (rank + 200.0))
    taste = np.zeros((USERS, TITLES))
    for genre in range(len(GENRES)):
        taste += 0.7 * _normal(random, USERS)[:, None] * genres[:, genre][None, :]
    for _ in range(FACTORS):
        taste += 0.2 * _normal(random, USERS)[:, None] * _normal(random, TITLES)[None, :]
    return _World(
        genres=genres,
        popularity=popularity,
        movie_bias=0.5 * _normal(random, TITLES) + 0.3 - 0.6 * rank / TITLES,
        user_bias=0.4 * _normal(random, USERS),
        taste=taste,
    )


def _choose(random: np.random.RandomState, world: _World) -> tuple[np.ndarray, np.ndarray]:
    """The user and the movie of each rating, no pair twice, a user's in the order in which they are rated.

    Of each user's `uniform / weight`, the smallest are taken: sequential Poisson sampling (Ohlsson 1998), which gives
    every movie a chance in proportion to its weight.
    """
    weight = world.popularity[None, :] * np.clip(1 + world.taste, 0.1, None)
    order = (random.random_sample(weight.shape) / weight).argsort(axis=1, kind="stable")
    counts = _counts_per_user(random)
    users = np.repeat(np.arange(USERS), counts)
    movies = np.concatenate([random.permutation(row[:count]) for row, count in zip(order, counts, strict=True)])
    return users, movies


def _counts_per_user(random: np.random.RandomState) -> np.ndarray:
    """`int64[USERS]`, long-tailed, each at least `MINIMUM_PER_USER`, `RATINGS` together."""
    spread = random.random_sample(USERS) + 0.15
    share = 1 / (spread * spread)
    share /= np.cumsum(share)[-1]
    counts = MINIMUM_PER_USER + np.floor(share * (RATINGS - USERS * MINIMUM_PER_USER)).astype(np.int64)
    counts[: RATINGS - counts.sum()] += 1
    return counts


def _times(random: np.random.RandomState, users: np.ndarray) -> np.ndarray:
    """`int64[rows]` seconds, rising for each user, who arrives some day and rates in one or more sittings."""
    starts, counts = np.unique(users, return_index=True, return_counts=True)[1:]
    number = np.arange(len(users)) - np.repeat(starts, counts)
    arrival = START + np.floor(random.random_sample(USERS) * SPAN).astype(np.int64)
    sittings = np.where(random.random_sample(USERS) < 0.6, 1, 1 + counts // 25)
    sitting = number * sittings[users] // counts[users]
    later = random.random_sample((USERS, sittings.max()))
    later[:, 0] = 0
    later[np.arange(sittings.max())[None, :] >= sittings[:, None]] = 1
    later.sort(axis=1)
    delay = np.floor(later[users, sitting] * (START + SPAN - arrival[users])).astype(np.int64)
    pause = 3 + np.floor(random.random_sample(len(users)) * 40).astype(np.int64)
    total = np.cumsum(pause)
    return arrival[users] + delay + total - total[starts][users]


def _titles(random: np.random.RandomState) -> pa.Array:
    names = random.permutation(len(FIRST_WORDS) * len(SECOND_WORDS))[:TITLES]
    ages = random.random_sample(TITLES)
    years = 2023 - np.floor(90 * ages * ages * ages).astype(int)
    return pa.array(
        [
            f"{FIRST_WORDS[name // len(SECOND_WORDS)]} {SECOND_WORDS[name % len(SECOND_WORDS)]} ({year})"
            for name, year in zip(names, years, strict=True)
        ]
    )


def _genre_names(genres: np.ndarray) -> pa.Array:
    return pa.array([[GENRES[genre] for genre in np.flatnonzero(row)] for row in genres], pa.list_(pa.string()))


def _side_data(random: np.random.RandomState) -> dict[str, pa.Array]:
    """A value for each user in each column, null for users without side data."""
    unknown = random.random_sample(USERS) >= DESCRIBED
    youth = random.random_sample(USERS)
    values = {
        "raw_user_age": 13 + np.floor(60 * youth * youth),
        "user_gender": random.random_sample(USERS) < 0.6,
        "user_occupation_text": np.array(OCCUPATIONS)[random.randint(len(OCCUPATIONS), size=USERS)],
        "user_zip_code": np.char.zfill(random.randint(100_000, size=USERS).astype(str), 5),
    }
    return {name: pa.array(value, SIDE_SCHEMA.field(name).type, mask=unknown) for name, value in values.items()}


def _normal(random: np.random.RandomState, size: int) -> np.ndarray:
    """`float[size]`, nearly normal with mean 0 and deviation 1: the sum of twelve uniforms."""
    total = np.full(size, -6.0)
    for _ in range(12):
        total += random.random_sample(size)
    return total
