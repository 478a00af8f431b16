"""Reading and identifying models: every mistake is one sentence that names the mend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.errors import LabelsError, ModelError
from engines.labels import COCO
from engines.model import read_model
from engines.models import street_onnx


def make_model(
    path: Path,
    output: list[int],
    size: list[int | str] = [1, 3, 64, 64],  # noqa: B006  never changed
    opset: int = 17,
    metadata: dict[str, str] | None = None,
    exp: bool = False,
) -> Path:
    """A model file of the given input and output shapes whose output is a constant (through Exp if asked)."""
    weights = onnx.numpy_helper.from_array(np.zeros(output, np.float32), "weights")
    nodes = [helper.make_node("Exp" if exp else "Identity", ["weights"], ["out"])]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, output)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.helper.set_model_props(model, metadata or {"names": "{0: 'cat', 1: 'dog'}"})
    onnx.save(model, path)
    return path


YOLOX = [1, 84, 7]  # 8x8 + 4x4 + 2x2 cells of a 64x64 input
YOLOV8 = [1, 6, 84]


@pytest.mark.parametrize(("output", "family"), [(YOLOX, "yolox"), (YOLOV8, "yolov8")])
def test_family_is_found_from_the_outputs(tmp_path: Path, output: list[int], family: str) -> None:
    model = read_model(make_model(tmp_path / "m.onnx", output))
    assert (model.family.name, model.labels, model.width, model.height) == (family, ("cat", "dog"), 64, 64)


def test_size_left_open_is_taken_from_the_metadata(tmp_path: Path) -> None:
    open_size: list[int | str] = ["batch", 3, "height", "width"]
    file = make_model(tmp_path / "m.onnx", YOLOV8, open_size, metadata={"names": "['a', 'b']", "imgsz": "[64, 64]"})
    assert read_model(file).labels == ("a", "b")


def test_shipped_model_is_understood() -> None:
    model = read_model(street_onnx())
    assert model.family.name == "yolox"
    assert model.labels == ("person", "bicycle", "car", "bus", "dog")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        read_model(tmp_path / "none.onnx")
    assert str(error.value) == f"{tmp_path}/none.onnx: there is no such model file"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(64)])
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value) == f"{file}: is not an ONNX model, or is damaged; export it again"


def test_truncated(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(street_onnx().read_bytes()[:100_000])
    with pytest.raises(ModelError, match="is not an ONNX model, or is damaged"):
        read_model(file)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("yolovx", "unknown model family 'yolovx'; did you mean yolox? (known: auto, yolox, yolov8)"),
        (
            "yolov8",
            (
                "{file}: family yolov8 needs one output [batch, 4 + classes, cells], decoded (YOLOv8, YOLO11); "
                "this model has input 64x64 and outputs out [1, 84, 7]"
            ),
        ),
    ],
)
def test_wrong_family(tmp_path: Path, family: str, message: str) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOX)
    with pytest.raises(ModelError) as error:
        read_model(file, family)
    assert str(error.value) == message.format(file=file)


@pytest.mark.parametrize(("output", "exp"), [([1, 300, 6], False), (YOLOX, True)])
def test_family_unknown(tmp_path: Path, output: list[int], exp: bool) -> None:
    """Also a YOLOX that is decoded inside the model: it must not be taken for a raw one."""
    file = make_model(tmp_path / "m.onnx", output, exp=exp)
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value) == (
        f"{file}: fits no family known with input 64x64 and outputs out {output}; set family to one of: "
        "yolox: one output [batch, cells, 5 + classes], not decoded; "
        "yolov8: one output [batch, 4 + classes, cells], decoded (YOLOv8, YOLO11)"
    )


def test_input_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the input images is not a planar picture \[batch, 3, height, width\]"):
        read_model(make_model(tmp_path / "m.onnx", YOLOX, [1, 64, 64, 1]))


def test_labels_fewer_than_classes(tmp_path: Path) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("cat\n\n")
    file = make_model(tmp_path / "m.onnx", YOLOX)
    with pytest.raises(LabelsError) as error:
        read_model(file, labels=str(labels))
    assert str(error.value) == f"{labels} has 1 labels but {file} has 2 classes; add the missing names"


@pytest.mark.parametrize(
    ("setting", "metadata", "message"),
    [
        ("none.txt", {}, "none.txt: there is no such labels file"),
        (None, {"other": "x"}, "carries no class names; give labels: 'coco' or a text file with 2 names, one a line"),
        (None, {"names": "{0: 'a', 2: 'b'}"}, "have gaps; give labels instead"),
        (None, {"names": "{0: "}, "cannot be read; give labels instead"),
        (None, {"names": "7"}, "are no list; give labels instead"),
    ],
)
def test_labels_that_cannot_be_had(tmp_path: Path, setting: str | None, metadata: dict[str, str], message: str) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOX, metadata=metadata or None)
    with pytest.raises(LabelsError) as error:
        read_model(file, labels=setting)
    assert message in str(error.value)


def test_labels_file_may_name_more(tmp_path: Path) -> None:
    labels = tmp_path / "names.txt"
    labels.write_text("cat\n dog \nbird\n")
    assert read_model(make_model(tmp_path / "m.onnx", YOLOX), labels=str(labels)).labels == ("cat", "dog")


def test_coco_is_the_list_of_the_material(material: Path) -> None:
    assert list(COCO) == (material / "labels" / "coco80.txt").read_text().split("\n")[:80]
