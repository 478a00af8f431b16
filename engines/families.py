"""The names of the model families, in the order in which a model's outputs are compared with them.

Each has a module of its name in engines/graphs/heads. The names are here alone, where the configuration can have them
without loading ONNX.
"""

from __future__ import annotations

from typing import Literal

FamilyName = Literal[
    "yolox",
    "yolov5",
    "yolov8",
    "yolov10",
    "deepstream-yolo",
    "end2end",
    "yolov7-rows",
    "yolo-nas",
    "damo-yolo",
    "pp-yoloe",
    "detr",
    "rtdetr",
    "detr-raw",
    "detr-softmax",
    "nanodet",
    "picodet",
    "fastestdet",
    "ssd",
    "mmdet",
    "torchvision",
]
