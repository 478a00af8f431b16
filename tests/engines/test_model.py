"""Reading and identifying models: every mistake is one sentence that names the mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.errors import ModelError
from engines.graphs.heads import FAMILIES
from engines.labels import COCO
from engines.model import read_model
from engines.models import street_onnx
from engines.records import InputOverride
from tests.engines.making import TWO_NAMES, Making, Shape


def make_model(
    path: Path,
    output: Sequence[int],
    size: Shape = (1, 3, 64, 64),
    metadata: Mapping[str, str] = TWO_NAMES,
    operator: str = "Identity",
) -> Path:
    """A model file of the given input and output shapes."""
    values = np.full(output, 0 if operator == "Exp" else 1, np.float32)
    return Making({"out": values}, {"out": operator}, size=size, metadata=metadata).save(path)


YOLOX = [1, 84, 7]  # 8x8 + 4x4 + 2x2 cells of a 64x64 input
YOLOV8 = [1, 6, 84]


@pytest.mark.parametrize(
    ("output", "operator", "names", "family"),
    [
        (YOLOX, "Identity", 2, "yolox"),
        (YOLOX, "Exp", 2, "yolox"),
        (YOLOV8, "Identity", 2, "yolov8"),
        ([1, 84, 6], "Identity", 2, "yolov8"),
        ([1, 84, 6], "Mul", 2, "yolov8"),
        ([1, 84, 6], "Identity", 1, "yolox"),
        ([1, 252, 7], "Mul", 2, "yolov5"),
        ([1, 252, 6], "Mul", 1, "yolov5"),
        ([1, 255, 7], "Mul", 2, "yolov5"),
        ([1, 300, 6], "Identity", 2, "yolov10"),
        ([1, 85, 34], "Identity", 2, "nanodet"),
        ([1, 84, 34], "Identity", 2, "nanodet"),
        ([1, 84, 25], "Identity", 20, "yolox"),
        ([1, 84, 24], "Mul", 20, "yolov8"),
        ([1, 7, 4, 4], "Identity", 2, "fastestdet"),
    ],
)
def test_family_is_detected_from_the_outputs(
    tmp_path: Path, output: list[int], operator: str, names: int, family: str
) -> None:
    """Where the shape alone would fit several, by the operators before it or by how many names there are."""
    metadata = {"names": str(list(COCO[:names]))}
    model = read_model(make_model(tmp_path / "m.onnx", output, metadata=metadata, operator=operator))
    assert (model.family.name, model.labels, model.width, model.height) == (family, COCO[:names], 64, 64)


def test_size_left_open_is_taken_from_the_metadata(tmp_path: Path) -> None:
    open_size = ("batch", 3, "height", "width")
    file = make_model(tmp_path / "m.onnx", YOLOV8, open_size, {"names": "['a', 'b']", "imgsz": "[32, 128]"})
    model = read_model(file)
    assert (model.labels, model.width, model.height) == (("a", "b"), 128, 32)


def test_shipped_model_is_identified() -> None:
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
    ("output", "family", "message"),
    [
        (
            YOLOX,
            "yolovx",
            (f"unknown model family 'yolovx'; did you mean yolox? (known: auto, {', '.join(FAMILIES)})"),
        ),
        (
            [1, 252, 7],
            "yolov8",
            (
                "{file}: family yolov8 needs one output [batch, 4 + classes, cells] or [batch, cells, 4 + classes], "
                "decoded (YOLOv8, 9, 11, 12), but out needs a column or a row for each of 84 cells; this model has "
                "input 64x64, outputs out [1, 252, 7]; export it with: yolo export model=NAME.pt format=onnx"
            ),
        ),
    ],
)
def test_wrong_family(tmp_path: Path, output: list[int], family: str, message: str) -> None:
    file = make_model(tmp_path / "m.onnx", output)
    with pytest.raises(ModelError) as error:
        read_model(file, family)
    assert str(error.value) == message.format(file=file)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_refuses_some_model(tmp_path: Path, family: str) -> None:
    with pytest.raises(ModelError, match=f"family {family} needs .*; this model has input 64x64, outputs out"):
        read_model(make_model(tmp_path / "m.onnx", [1, 83, 7]), family)


@pytest.mark.parametrize(("raw", "decoded"), [("yolox", "yolov5"), ("yolox", "yolov8")])
def test_raw_grid_outputs_are_not_taken_for_decoded_boxes(tmp_path: Path, raw: str, decoded: str) -> None:
    """The shapes are the same; what would be found is not."""
    file = make_model(tmp_path / "m.onnx", YOLOX)
    assert read_model(file, raw).family.name == raw
    with pytest.raises(ModelError, match=f"family {decoded} needs"):
        read_model(file, decoded)


def families_named(error: ModelError) -> list[str]:
    """The families that an error offers, in its order."""
    offered = str(error).partition(" family to ")[2]
    return [name for name, family in FAMILIES.items() if family.layout in offered]


def test_family_is_ambiguous(tmp_path: Path) -> None:
    """A row for each cell, and something is computed with it: a YOLOX that is decoded, or not, or a YOLOv6."""
    file = make_model(tmp_path / "m.onnx", YOLOX, operator="Mul")
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert f"{file}: " in str(error.value)
    assert "input 64x64, outputs out [1, 84, 7]" in str(error.value)
    assert families_named(error.value) == ["yolox", "yolov5"]
    assert [read_model(file, family).family.name for family in ("yolox", "yolov5")] == ["yolox", "yolov5"]


def test_yolov6_is_not_taken_for_a_yolox(tmp_path: Path) -> None:
    """It has the same rows, decoded from distances to both sides, which a YOLOX does not know."""
    proto = Making({"plain": np.ones(YOLOX, np.float32)}, {"plain": "Mul"}).proto()
    proto.graph.node.append(helper.make_node("Add", ["plain", "plain"], ["sum"]))
    proto.graph.node.append(helper.make_node("Sub", ["sum", "plain"], ["out"]))
    proto.graph.output[0].name = "out"
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    assert read_model(file).family.name == "yolov5"
    with pytest.raises(ModelError, match=r"family yolox needs .* decoded by the model"):
        read_model(file, "yolox")


def test_four_levels_are_ambiguous(tmp_path: Path) -> None:
    """NanoDet and PicoDet differ in the backbone, not in the outputs."""
    shapes = {f"{kind}{n}": (1, n, c) for n in (64, 16, 4, 1) for kind, c in (("c", 2), ("b", 32))}
    file = Making({name: np.ones(shape, np.float32) for name, shape in shapes.items()}).save(tmp_path / "m.onnx")
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert families_named(error.value) == ["nanodet", "picodet"]
    assert read_model(file, "picodet").labels == ("cat", "dog")


def test_operators_outweigh_the_number_of_names(tmp_path: Path) -> None:
    """Three names would fit a decoded row of 4 + 3, but a convolution is behind it: a YOLOX with a name too many?"""
    making = Making({"out": np.ones(YOLOX, np.float32)}, metadata={"names": "['a', 'b', 'c']"}, aside=["Conv"])
    with pytest.raises(ModelError) as error:
        read_model(making.save(tmp_path / "m.onnx"))
    assert families_named(error.value) == ["yolox", "yolov8"]


def test_family_in_the_metadata(tmp_path: Path) -> None:
    metadata = {**TWO_NAMES, "family": "yolov5"}
    assert read_model(make_model(tmp_path / "m.onnx", YOLOX, metadata=metadata, operator="Mul")).family.name == "yolov5"


def test_family_unknown(tmp_path: Path) -> None:
    file = make_model(tmp_path / "m.onnx", [1, 83, 7])
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "input 64x64, outputs out [1, 83, 7]" in str(error.value)
    assert "nearest is yolox: " in str(error.value)
    assert "out needs 84 rows, one per cell" in str(error.value)
    assert FAMILIES["yolox"].export in str(error.value)


def test_size_left_open(tmp_path: Path) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOV8, ("batch", 3, "height", "width"))
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value).startswith(f"{file}: the input size is left open; give it (--input-size WIDTHxHEIGHT")


@pytest.mark.parametrize("size", [("batch", 3, "height", "width"), ("batch", 3, 64, "width")])
def test_size_left_open_is_given(tmp_path: Path, size: Shape) -> None:
    """It counts more than what the metadata says."""
    metadata = {**TWO_NAMES, "imgsz": "[64, 64]"}
    model = read_model(
        make_model(tmp_path / "m.onnx", [1, 6, 168], size, metadata), override=InputOverride(size=(64, 128))
    )
    assert (model.width, model.height, model.family.name) == (128, 64, "yolov8")


def test_a_size_that_is_not_open_stays(tmp_path: Path) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOV8)
    assert read_model(file, override=InputOverride(size=(64, 64))).width == 64
    with pytest.raises(ModelError, match="its input is 64x64, not 128x64"):
        read_model(file, override=InputOverride(size=(64, 128)))


@pytest.mark.parametrize(
    ("size", "dtype", "named"),
    [
        ((1, 64), TensorProto.FLOAT, "images"),
        ((1, 64, 64, 1), TensorProto.FLOAT, "[batch, 3, height, width]"),
        ((1, 3, 64, 64), TensorProto.INT64, "int64"),
    ],
)
def test_input_is_no_image(tmp_path: Path, size: Shape, dtype: int, named: str) -> None:
    file = Making({"out": np.ones(YOLOX, np.float32)}, size=size, dtype=dtype).save(tmp_path / "m.onnx")
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value).startswith(f"{file}: ")
    assert named in str(error.value)


def test_unknown_input(tmp_path: Path) -> None:
    proto = Making({"out": np.ones(YOLOX, np.float32)}).proto()
    proto.graph.input.append(helper.make_tensor_value_info("prompt", TensorProto.INT64, [1, 77]))
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx: .* prompt "):
        read_model(file)


def test_model_for_another_task(tmp_path: Path) -> None:
    file = make_model(tmp_path / "m.onnx", YOLOV8, metadata={**TWO_NAMES, "task": "pose"})
    with pytest.raises(ModelError, match=r"m\.onnx: .* 'pose'"):
        read_model(file)


def test_external_weights(tmp_path: Path) -> None:
    """They are read with the model; without them it says so."""
    file = tmp_path / "m.onnx"
    proto = Making({"out": np.ones(YOLOX, np.float32)}).proto()
    onnx.save(proto, file, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    assert read_model(file).family.name == "yolox"
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"m\.onnx: .*m\.onnx\.data"):
        read_model(file)


@pytest.mark.parametrize("constant_nodes", [False, True])
def test_nodes_in_any_order(tmp_path: Path, constant_nodes: bool) -> None:
    making = Making({"out": np.zeros(YOLOX, np.float32)}, {"out": "Exp"}, constant_nodes=constant_nodes)
    proto = making.proto()
    proto.graph.node.append(helper.make_node("Identity", ["out"], ["last"]))
    proto.graph.output[0].name = "last"
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    model = read_model(file)
    onnx.checker.check_model(model.proto)
    assert [node.op_type for node in model.proto.graph.node][-2:] == ["Exp", "Identity"]
    assert "Exp" in model.raw.outputs[0].tail, "so that it is seen to be decoded"
