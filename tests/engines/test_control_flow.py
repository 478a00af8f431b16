"""Models with Loop, If and Scan, and with operators that no backend has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.errors import ModelError
from engines.image_file import read_image
from engines.model import read_model
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from tests.engines.decoding import agree, from_centre, pixel_rows, run
from tests.engines.making import Making

CELLS = 168  # of a 128x64 input
TENSOR = TensorProto.FLOAT


def value(name: str, kind: int = TENSOR, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def loop() -> list[onnx.NodeProto]:
    """Adds zero twice; its body reads a tensor from outside and has names that occur outside too."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["carried", "zero"], ["out_carried"]),
            helper.make_node("Identity", ["condition"], ["out_condition"]),
        ],
        "body",
        [value("count", TensorProto.INT64, []), value("condition", TensorProto.BOOL, []), value("carried")],
        [value("out_condition", TensorProto.BOOL, []), value("out_carried")],
    )
    return [helper.make_node("Loop", ["two", "yes", "plain"], ["out"], body=body)]


def branch() -> list[onnx.NodeProto]:
    """Both branches read tensors from outside."""
    branches = {
        f"{name}_branch": helper.make_graph([helper.make_node("Add", ["plain", "zero"], [f"{name}_out"])], name, [], [
            value(f"{name}_out")
        ])
        for name in ("then", "else")
    }  # fmt: skip
    return [helper.make_node("If", ["yes"], ["out"], **branches)]


def scan() -> list[onnx.NodeProto]:
    """Adds zero to each of its slices."""
    body = helper.make_graph(
        [helper.make_node("Add", ["slice", "zero"], ["out_slice"])], "body", [value("slice")], [value("out_slice")]
    )
    return [helper.make_node("Scan", ["plain"], ["out"], body=body, num_scan_inputs=1)]


@pytest.mark.parametrize("nodes", [loop, branch, scan])
def test_control_flow_works(nodes: object, tmp_path: Path, material: Path) -> None:
    assert callable(nodes)
    rows = pixel_rows(CELLS, 6)
    proto = Making({"plain": rows.transpose(0, 2, 1)}, size=(1, 3, 64, 128)).proto()
    proto.graph.output[0].name = "out"
    proto.graph.node.extend(nodes())
    for name, array in (("zero", np.zeros(1, np.float32)), ("two", np.array(2)), ("yes", np.array(True))):
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    model = read_model(file)
    expected = [(from_centre(*row[:4]), row[4:].max(), int(row[4:].argmax())) for row in rows[0]]
    agree(run(model), expected)
    session = OnnxRuntimeSession(model, Thresholds(), max_batch=2)
    assert len(session.collect(session.submit([read_image(material / "images" / "bus.jpg")])).detections[0]) > 0
    session.close()


@pytest.mark.parametrize(
    ("operator", "domain"), [("EfficientNMS_TRT", "TRT"), ("EfficientNMS_TRT", ""), ("NMSRotated", "mmdeploy")]
)
def test_operators_of_plugins_are_refused(operator: str, domain: str, tmp_path: Path) -> None:
    """One sentence, with the operator and what to export instead."""
    proto = Making({"plain": pixel_rows(CELLS, 6)}, size=(1, 3, 64, 128)).proto()
    proto.graph.node.append(helper.make_node(operator, ["plain"], ["num_dets"], domain=domain))
    if domain:
        proto.opset_import.append(helper.make_opsetid(domain, 1))
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError) as error:
        read_model(file)
    assert str(error.value) == (
        f"{file}: has the operator {operator} of a plugin, which no backend here can run; export the model without "
        "NMS, as raw outputs, or with ONNX's own NonMaxSuppression for the backend onnxruntime"
    )
