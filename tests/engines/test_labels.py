"""Class names of a model: as many as it has classes, or an error that says both numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import LabelsError, ModelError
from engines.labels import COCO
from engines.model import read_model
from tests.engines.making import TWO_NAMES, Making
from tests.engines.test_model import YOLOX, make_model


@pytest.mark.parametrize("names", [1, 3, 80])
def test_as_many_names_as_classes(tmp_path: Path, names: int) -> None:
    """Names that are too few or too many are those of another model."""
    labels = tmp_path / "names.txt"
    labels.write_text("\n".join(COCO[:names]))
    file = make_model(tmp_path / "m.onnx", YOLOX, metadata={})
    with pytest.raises(LabelsError) as error:
        read_model(file, "yolox", labels="coco" if names == 80 else str(labels))
    named = "the COCO list" if names == 80 else labels
    counted = "1 label" if names == 1 else f"{names} labels"
    assert str(error.value) == f"{named} has {counted} but {file} has 2 classes; give each class its name"


def test_as_many_names_as_the_metadata(tmp_path: Path) -> None:
    """Outputs that do not show how many classes there are."""
    file = make_model(tmp_path / "m.onnx", [1, 300, 6])
    with pytest.raises(LabelsError, match=r"the COCO list has 80 labels but .* has 2 names"):
        read_model(file, labels="coco")


def test_a_model_of_poses_is_no_detector_of_52_classes(tmp_path: Path) -> None:
    """One class and 17 points of three numbers for each cell: 56 columns, as 4 and 52 classes would have."""
    file = make_model(tmp_path / "m.onnx", [1, 56, 84], metadata={})
    with pytest.raises(LabelsError, match=r"the COCO list has 80 labels but .* has 52 classes as yolov8"):
        read_model(file, labels="coco")
    with pytest.raises(ModelError, match="is for the task 'pose'"):
        read_model(make_model(file, [1, 56, 84], metadata={**TWO_NAMES, "task": "pose"}))


def test_a_name_for_the_class_of_no_object_is_one_too_many(tmp_path: Path) -> None:
    """A DETR of 91 classes has 92 logits: with 92 names nothing tells whether the last is a class."""
    outputs = {"logits": np.zeros((1, 100, 92), np.float32), "pred_boxes": np.full((1, 100, 4), 0.5, np.float32)}
    names = {"names": str([f"class {number}" for number in range(92)])}
    with pytest.raises(ModelError, match=r"set family to .* detr-raw \(92 classes\)"):
        read_model(Making(outputs, metadata=names).save(tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("setting", "metadata", "message"),
    [
        ("none.txt", {}, "none.txt: there is no such labels file"),
        (None, {"other": "x"}, "has no class names; give labels: 'coco' or a text file with 2 names, one per line"),
        (None, {"names": "{0: 'a', 2: 'b'}"}, "have gaps; give labels instead"),
        (None, {"names": "{0: "}, "cannot be read; give labels instead"),
        (None, {"names": "7"}, "are no list; give labels instead"),
    ],
)
def test_unusable_labels_are_refused(
    tmp_path: Path, setting: str | None, metadata: dict[str, str], message: str
) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOX, metadata=metadata or TWO_NAMES)
    with pytest.raises(LabelsError) as error:
        read_model(file, labels=setting)
    assert message in str(error.value)


def test_coco_is_the_list_of_the_material(material: Path) -> None:
    assert list(COCO) == (material / "labels" / "coco80.txt").read_text().split("\n")[:80]
