"""INT8 accuracy of engines.precision beside onnxruntime.quantization: COCO mAP50-95 of the same model, calibrated on
the same frames. Run it with a model of the test material:

    python -m tests.benchmarks.int8_quantizers ../shared/material yolox_nano_416 --frames 48
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from engines.build.calibration import model_inputs
from engines.evaluate.accuracy import COCO_THRESHOLDS, coco_accuracy
from engines.graphs.preprocess import IMAGES
from engines.model import Model, read_model
from engines.onnx_runtime import OnnxRuntimeSession
from engines.precision import Precision, at_precision
from engines.precision.graph_index import GraphIndex
from engines.precision.quantize import OPSET
from engines.precision.sensitive import quantizable_layers
from tests.engines.precisions import canonical
from tests.engines.test_quantization import frames

METHODS = {
    "min-max": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class Reader(CalibrationDataReader):  # type: ignore[misc]  # it comes without types
    """Calibration inputs as onnxruntime.quantization takes them."""

    def __init__(self, images: list[NDArray[Any]]) -> None:
        self._images: Iterator[NDArray[Any]] = iter(images)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        image = next(self._images, None)
        return None if image is None else {IMAGES: image.astype(np.float32)}


def named(detector: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str], list[str]]:
    """The detector in FP32 with unique node names; all its layers, and those that engines.precision quantizes."""
    graph = GraphIndex.of(at_precision(detector, Precision.FP32), OPSET)
    for number, node in enumerate(graph.model.graph.node):
        node.name = f"node_{number}"
    chosen = quantizable_layers(graph)
    return graph.model, [f"node_{i}" for i in sorted(graph.layers)], [f"node_{i}" for i in chosen]


def by_onnx_runtime(
    detector: onnx.ModelProto, nodes: list[str], method: CalibrationMethod, images: list[NDArray[Any]]
) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        onnx.save(detector, source)
        quantize_static(
            source, target, Reader(images), quant_format=QuantFormat.QDQ, per_channel=True, nodes_to_quantize=nodes,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, calibrate_method=method,
            op_types_to_quantize=["Conv", "ConvTranspose", "Gemm", "MatMul"],
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )  # fmt: skip
        return at_precision(onnx.load(target), Precision.FP16)  # the rest in float16, as engines.precision has it


def accuracy(model: Model, detector: onnx.ModelProto, material: Path) -> float:
    session = OnnxRuntimeSession(model, COCO_THRESHOLDS, 1, detector=detector)
    folder = material / "labelled" / "coco_val2017_128"
    try:
        return coco_accuracy(session, model.labels, folder / "instances_from_yolo.json", folder / "images").map50_95
    finally:
        session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("material", type=Path)
    parser.add_argument("model")
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args()
    model = read_model(options.material / "models" / f"{options.model}.onnx", labels="coco")
    images = list(model_inputs(model, frames(options.material / "videos", options.frames)))
    detector, layers, chosen = named(canonical(model))
    print(f"{options.model}, {len(images)} frames, {len(layers)} layers, {len(chosen)} chosen by engines.precision")
    print(f"fp32                                 {accuracy(model, detector, options.material):.3f}", flush=True)
    ours = at_precision(canonical(model), Precision.INT8, images)
    print(f"engines.precision                    {accuracy(model, ours, options.material):.3f}", flush=True)
    for what, nodes in (("all layers", layers), ("chosen layers", chosen)):
        for name, method in METHODS.items():
            quantized = by_onnx_runtime(detector, nodes, method, images)
            title = f"onnxruntime, {what}, {name}"
            print(f"{title:<36} {accuracy(model, quantized, options.material):.3f}", flush=True)


if __name__ == "__main__":
    main()
