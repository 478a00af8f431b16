"""The detector that ships with the project: its size, what it says of itself, how good it is."""

from __future__ import annotations

from daemon.demo.street.evaluate import evaluate
from daemon.demo.street.generator import LABELS
from engines.model import read_model
from engines.models import street_onnx


def test_small_and_self_explaining() -> None:
    assert street_onnx().stat().st_size <= 2_000_000
    model = read_model(street_onnx())
    assert (model.family.name, model.labels) == ("yolox", LABELS)
    assert {(p.key, p.value) for p in model.proto.metadata_props} >= {("licence", "Apache-2.0")}
    assert street_onnx().with_suffix(".md").is_file()


def test_accuracy_on_held_out_streets() -> None:
    accuracy = evaluate(street_onnx(), streets=24, pictures=3)
    assert accuracy.images == 72
    assert accuracy.map50 >= 0.9, accuracy
