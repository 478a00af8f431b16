"""What an exporter says of its model counts more than the shapes of its outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.errors import ModelError
from engines.model import read_model
from tests.engines.decoding import GRID, SIZE, numbers, pixel_rows
from tests.engines.making import TWO_NAMES, Making

CELLS = {"output0": pixel_rows(len(GRID), 6).transpose(0, 2, 1)}
QUERIES = {"pred_logits": numbers(1, 50, 2), "pred_boxes": numbers(1, 50, 4)}
ROWS = {"output0": np.zeros((1, 50, 6), np.float32)}
LIBRE = {"libreyolo_version": "1.6.0"}
ULTRALYTICS = {"author": "Ultralytics"}


def saved(
    folder: Path, outputs: dict[str, Any], metadata: dict[str, str], operator: str = "Mul", aside: str = ""
) -> Path:
    making = Making(outputs, dict.fromkeys(outputs, operator), size=SIZE, aside=aside.split())
    return replace(making, metadata={**TWO_NAMES, **metadata}).save(folder / "m.onnx")


@pytest.mark.parametrize("theirs", ["dfine", "deim", "rtdetr", "rtdetrv2"])
def test_a_detr_of_libreyolo_is_no_other_one(theirs: str, tmp_path: Path) -> None:
    """Its export has no GridSample, so nothing else tells it from a DETR with a softmax."""
    file = saved(tmp_path, QUERIES, {**LIBRE, "model_family": theirs})
    assert read_model(file).family.name == "detr-raw"
    with pytest.raises(ModelError, match=r"set family to .* detr-raw"):
        read_model(saved(tmp_path, QUERIES, {}))


@pytest.mark.parametrize("theirs", ["yolo9", "yolo7", "detr", "rtmdet", ""])
def test_a_layout_of_libreyolo_that_is_unknown_is_refused(theirs: str, tmp_path: Path) -> None:
    """Its YOLOv9 has the shape of a YOLOv8, with corners in the place of centre and size."""
    file = saved(tmp_path, CELLS, {**LIBRE, "model_family": theirs})
    with pytest.raises(ModelError, match=r"LibreYOLO's layout of .* is unknown"):
        read_model(file)
    assert read_model(saved(tmp_path, CELLS, {})).family.name == "yolov8"


def test_the_head_that_ultralytics_names_counts(tmp_path: Path) -> None:
    """Rows of a RT-DETR and rows after NMS have one shape."""
    head = {**ULTRALYTICS, "head": "RTDETRDecoder"}
    assert read_model(saved(tmp_path, ROWS, head, "TopK", "GridSample")).family.name == "rtdetr"
    with pytest.raises(ModelError, match="RT-DETR"):
        read_model(saved(tmp_path, ROWS, head))
    for said in ({"end2end": "True"}, {"args": "{'nms': True}"}):
        assert read_model(saved(tmp_path, ROWS, {**ULTRALYTICS, **said})).family.name == "yolov10"
        with pytest.raises(ModelError, match="matches no family"):
            read_model(saved(tmp_path, CELLS, {**ULTRALYTICS, **said}))
