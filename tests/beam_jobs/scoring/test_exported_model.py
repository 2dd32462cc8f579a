"""A model is known before TensorFlow is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from beam_jobs.scoring.exported_model import check_model, read_signatures
from model.artifact.model_json import digests
from model.cli import InputError
from model.contract import SIGNATURES, VECTOR_SIGNATURES
from tests import jobs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "model"
    jobs.write_model(folder)
    return folder


def described(folder: Path) -> str:
    """The folder, its files described as ours are."""
    document = {"model_kind": "basic", "score_kind": "rating", "model_version": "v", "files": digests(folder)}
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return str(folder)


def test_signatures_are_those_that_tensorflow_finds(model: Path) -> None:
    loaded = tf.saved_model.load(str(model)).signatures
    expected = {
        name: (frozenset(function.structured_input_signature[1]), frozenset(function.structured_outputs))
        for name, function in loaded.items()
    }
    assert set(expected) == {*SIGNATURES, *VECTOR_SIGNATURES}
    found = read_signatures(model)
    assert {name: found[name] for name in expected} == expected


def test_a_model_is_checked_without_tensorflow(model: Path) -> None:
    script = f"import sys; from beam_jobs.scoring.exported_model import check_model as check; check({str(model)!r})\n"
    script += "print('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "False\n"


def test_a_damaged_graph_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff not a protocol buffer")
    with pytest.raises(InputError, match=r"^--model .*: saved_model\.pb is damaged \(.*\); train the model anew$"):
        check_model(described(tmp_path))


def test_a_model_without_a_signature_is_told_its_name(tmp_path: Path) -> None:
    module = tf.Module()
    module.answer = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None])])
    tf.saved_model.save(module, str(tmp_path), {"answer": module.answer})
    with pytest.raises(InputError, match=r"the SavedModel has no signature 'serving_default'; export it with"):
        check_model(described(tmp_path))
