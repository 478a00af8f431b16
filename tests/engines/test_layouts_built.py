"""Heads of every layout in engines of TensorRT for RTX, which needs no GPU to build them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.backends import build_target
from engines.build.cache import EngineCache
from engines.build.specification import BuildSpec
from engines.errors import BackendError
from engines.model import read_model
from engines.precision import Precision
from engines.tensorrt.build import build_engines
from tests.conftest import missing
from tests.engines.making import Making
from tests.engines.test_reading_random import LAYOUTS, Meant


def depending(making: Making) -> onnx.ModelProto:
    """The model with outputs to which the picture adds nothing, so that an engine has something to compute."""
    proto = making.proto()
    graph = proto.graph
    graph.node.append(helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0))
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    graph.node.append(helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    for output in graph.output:
        kind = output.type.tensor_type.elem_type
        (node,) = (node for node in graph.node if output.name in node.output)
        node.output[0] = f"{output.name}/before"
        graph.node.append(helper.make_node("Cast", ["nothing"], [f"{output.name}/added"], to=kind))
        graph.node.append(helper.make_node("Add", [f"{output.name}/before", f"{output.name}/added"], [output.name]))
    return proto


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_builds(layout: Callable[[], Meant], tmp_path: Path) -> None:
    try:
        target = build_target("tensorrt_rtx")
    except BackendError as error:
        missing("TensorRT for RTX", str(error))
        raise
    onnx.save(depending(layout().making), tmp_path / "m.onnx")
    spec = BuildSpec(read_model(tmp_path / "m.onnx"), Precision.FP16, 1)
    built = build_engines(spec, target, EngineCache(tmp_path / "engines"), lambda _what, _done: None)
    assert built.detector.exists()
