"""Examples come from disk once each, in the order drawn, in whole batches."""

import numpy as np
import pyarrow as pa
import pytest

from model.data import training_examples
from model.data.interactions import SCHEMA
from model.data.training_examples import learning_order, on_disk

ROWS = 1_000


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_examples, "ROWS_A_GROUP", 96)


@pytest.mark.parametrize("size", [1, 64, 96, 250, ROWS, 5_000])
def test_batches_are_whole_whatever_the_groups_of_the_file(size: int) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    columns = {"number": np.arange(ROWS, dtype=np.int32), "half": np.arange(ROWS, dtype=np.float32) / 2}
    with on_disk(columns, order) as written:
        batches = [{name: tensor.numpy() for name, tensor in batch.items()} for batch in written.batches(size)]
        assert written.rows == ROWS
    assert [len(batch["number"]) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    numbers = np.concatenate([batch["number"] for batch in batches])
    assert numbers.dtype == np.int32
    assert numbers.tolist() == order.tolist()
    np.testing.assert_array_equal(np.concatenate([batch["half"] for batch in batches]), order / 2)


def test_every_pass_is_the_same_and_its_length_is_known() -> None:
    words = pa.chunked_array([["a", "é"], ["line\nbreak"]])
    with on_disk({"word": words}) as written:
        batches = written.batches(2)
        assert batches.cardinality().numpy() == 2
        for _ in range(2):
            read = [word.decode() for batch in batches for word in batch["word"].numpy()]
            assert read == words.to_pylist()


def test_without_rows_there_is_no_batch() -> None:
    with on_disk({"number": np.zeros(0, np.int64)}) as written:
        assert written.rows == 0
        assert list(written.batches(8)) == []


def test_the_file_is_gone_afterwards() -> None:
    with on_disk({"number": np.arange(3)}) as written:
        assert written.path.is_file()
    assert not written.path.parent.exists()


def test_the_order_depends_on_rows_and_seed_and_not_on_where_rows_stand() -> None:
    rng = np.random.default_rng(1)
    table = pa.table(
        [
            pa.array([f"u{number}" for number in rng.integers(0, 9, ROWS)]),
            pa.array([f"t{number}" for number in rng.integers(0, 99, ROWS)]),
            rng.integers(1, 6, ROWS).astype(np.float32),
            rng.integers(0, 50, ROWS),
        ],
        schema=SCHEMA,
    )
    elsewhere = table.take(pa.array(rng.permutation(ROWS)))
    ordered = table.take(pa.array(learning_order(table, 3)))
    assert ordered.equals(elsewhere.take(pa.array(learning_order(elsewhere, 3))))
    assert not ordered.equals(table.take(pa.array(learning_order(table, 4))))
    assert sorted(learning_order(table, 3).tolist()) == list(range(ROWS))
