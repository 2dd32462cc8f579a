"""A model is checked before TensorFlow starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from beam_jobs.scoring.exported_model import check_model
from beam_jobs.scoring.loaded_model import open_ranker
from model.artifact.model_json import digests
from model.cli import InputError
from model.contract import SIGNATURES, VECTOR_SIGNATURES
from tests import jobs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "model"
    jobs.write_model(folder)
    return folder


def changed(model: Path, copy: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """A copy of the model whose `model.json` has been through `change`."""
    shutil.copytree(model, copy)
    document = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    change(document)
    (copy / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return str(copy)


def test_signatures_in_model_json_are_those_that_tensorflow_finds(model: Path) -> None:
    loaded = tf.saved_model.load(str(model)).signatures
    described = json.loads((model / "model.json").read_text(encoding="utf-8"))["signatures"]
    assert set(described) == set(loaded) == {*SIGNATURES, *VECTOR_SIGNATURES}

    def specs(tensors: dict[str, tf.TensorSpec]) -> dict[str, Any]:
        return {name: {"dtype": spec.dtype.name, "shape": list(spec.shape)} for name, spec in tensors.items()}

    for name, function in loaded.items():
        assert described[name]["inputs"] == specs(function.structured_input_signature[1])
        assert described[name]["outputs"] == specs(function.structured_outputs)
    assert described["recommend"]["inputs"]["seen_values"] == {"dtype": "int32", "shape": [None]}
    assert described["unknown_user"]["outputs"]["user_vector"] == {"dtype": "float32", "shape": [1, 4]}


def test_a_checked_model_has_the_names_of_its_inputs_and_outputs(model: Path) -> None:
    assert check_model(str(model)).signatures == {**SIGNATURES, **VECTOR_SIGNATURES}


def test_a_model_is_checked_without_tensorflow(model: Path) -> None:
    script = f"import sys; from beam_jobs.scoring.exported_model import check_model as check; check({str(model)!r})\n"
    script += "print('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda document: document.pop("signatures"),
            r"model\.json: does not list the model's signatures, .*; train the model again with `nightrank train.*",
        ),
        (
            lambda document: document["signatures"].pop("recommend_rated"),
            r": the model has no signature 'recommend_rated'; train the model again with `nightrank train`",
        ),
        (
            lambda document: document["signatures"]["recommend"]["inputs"].update(history={}),
            r": signature 'recommend' takes \['candidates', 'history', 'k', .*; train the model again with .*",
        ),
        (
            lambda document: document["signatures"]["serving_default"]["outputs"].pop("user_rating"),
            r": signature 'serving_default' takes .* and returns \[\], not .* and \['user_rating'\]; train .*",
        ),
        *(
            (
                lambda document, damage=damage: document.update(signatures=damage),
                r"model\.json: its list of signatures is damaged; copy the model again or train it again",
            )
            for damage in (
                None,
                7,
                "recommend",
                ["recommend"],
                {"recommend": []},
                {"recommend": {"inputs": {}}},
                {"recommend": {"inputs": ["user_id"], "outputs": {}}},
            )
        ),
    ],
)
def test_other_signatures_are_refused_in_one_line_with_a_remedy(
    model: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = changed(model, tmp_path / "other", change)
    with pytest.raises(InputError, match=rf"^{folder}[^\n]*{message}$"):
        check_model(folder)


def test_vectors_beside_the_model_need_their_signatures(tmp_path: Path) -> None:
    jobs.write_model(tmp_path / "model", apart=True)
    folder = changed(
        tmp_path / "model", tmp_path / "other", lambda document: document["signatures"].pop("recommend_vectors")
    )
    assert check_model(str(tmp_path / "model")).needs_vectors
    with pytest.raises(InputError, match="has no signature 'recommend_vectors'"):
        check_model(folder)


def test_a_graph_that_was_changed_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\xff not a protocol buffer")
    with pytest.raises(InputError, match=r"saved_model\.pb: its 23 bytes do not match the digest in model\.json; copy"):
        check_model(str(tmp_path / "model"))


def test_a_graph_that_tensorflow_cannot_read_is_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\xff not a protocol buffer")
    folder = changed(
        tmp_path / "model", tmp_path / "other", lambda document: document.update(files=digests(tmp_path / "model"))
    )
    with pytest.raises(InputError, match=rf"^{folder}: TensorFlow cannot load this SavedModel \([^\n]*\); train"):
        open_ranker(folder, None, check_model(folder).description["model_version"])
