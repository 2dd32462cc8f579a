"""The pipeline that a Beam user writes first: RunInference on single (user, title) pairs, then `Top.PerKey`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import WriteToParquet
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from beam_jobs.io.schemas import RECOMMENDATIONS
from model.tensorflow_start import import_tensorflow

Pair = tuple[str, str]


class SavedModelHandler(ModelHandler[Pair, PredictionResult, Any]):
    """Calls `serving_default` on batches of pairs. Elements are tuples, because NumPy arrays are half as fast."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def load_model(self) -> Any:
        """Load the SavedModel."""
        return import_tensorflow().saved_model.load(self._folder)

    def run_inference(
        self, batch: Sequence[Pair], model: Any, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Predict the rating of each pair."""
        tf = import_tensorflow()
        users, titles = zip(*batch, strict=True)
        ratings = model.signatures["serving_default"](user_id=tf.constant(users), movie_title=tf.constant(titles))
        return map(PredictionResult, batch, ratings["user_rating"].numpy().tolist())

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Batch sizes. These were the fastest for this model."""
        return {"min_batch_size": 1_024, "max_batch_size": 8_192}


def run(folder: str, users: pa.Table, titles: Sequence[str], top_n: int, output: str) -> None:
    """Score every unseen pair and write the best of each user, as `beam_jobs.score` does."""

    def unseen(user: dict[str, Any]) -> Iterator[Pair]:
        seen = set(user["seen"])
        return ((user["user_id"], title) for title in titles if title not in seen)

    def rows(best: tuple[str, list[tuple[float, str]]]) -> Iterator[dict[str, Any]]:
        for rank, (score, title) in enumerate(best[1], 1):
            yield {
                "user_id": best[0],
                "rank": rank,
                "movie_title": title,
                "score": score,
                "predicted_rating": score,
                "source": "model",
                "model_version": "benchmark",
            }

    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(users.to_pylist())
            | "Pair with candidates" >> beam.FlatMap(unseen)
            | RunInference(SavedModelHandler(folder))
            | "Key by user" >> beam.Map(lambda result: (result.example[0], (result.inference, result.example[1])))
            | beam.combiners.Top.PerKey(top_n)
            | "To rows" >> beam.FlatMap(rows)
            | WriteToParquet(output, RECOMMENDATIONS, file_name_suffix=".parquet")
        )


def timed_run(folder: str, users: pa.Table, titles: Sequence[str], top_n: int) -> float:
    """The seconds of `run`. Its output is deleted."""
    with tempfile.TemporaryDirectory() as output:
        began = time.perf_counter()
        run(folder, users, titles, top_n, str(Path(output) / "rows"))
        return time.perf_counter() - began
