"""Writes small models with random weights, each as its own project exports it; runs in the exporters' environment.

python export.py FOLDER
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["YOLO_OFFLINE"] = "true"
os.environ["YOLO_AUTOINSTALL"] = "false"
warnings.simplefilter("ignore")

import libreyolo  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
import transformers  # noqa: E402
import ultralytics  # noqa: E402

HEIGHT, WIDTH = 128, 160
NAMES = {0: "cat", 1: "dog"}
_RTDETR = """
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [[2, 3, 4], 1, RTDETRDecoder, [nc, 32, 20, 4, 4, 1]]
"""


def of_ultralytics(folder: Path) -> None:
    """YOLOv8, YOLO11 with NMS, YOLO26 without need of it, and RT-DETR."""
    (folder / "rtdetr.yaml").write_text(_RTDETR, encoding="utf-8")
    for name, kind, options in (
        ("yolov8n", ultralytics.YOLO, {}),
        ("yolo11n", ultralytics.YOLO, {"nms": True, "conf": 1e-6}),
        ("yolo26n", ultralytics.YOLO, {"end2end": True}),
        ("rtdetr", ultralytics.RTDETR, {}),
    ):
        model = kind(str(folder / "rtdetr.yaml") if name == "rtdetr" else f"{name}.yaml")
        shake(model.model)
        written = model.export(format="onnx", imgsz=[HEIGHT, WIDTH], opset=17, simplify=False, **options)
        Path(written).rename(folder / f"{name}.onnx")


class _Outputs(torch.nn.Module):  # type: ignore[misc]  # PyTorch comes without types
    """A model of Hugging Face with the outputs that its exporter names."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.model(pixel_values=pixel_values)
        return found.logits, found.pred_boxes


def of_transformers(folder: Path) -> None:
    """DETR and YOLOS with a softmax, RT-DETR with sigmoids, whose input size is left open."""
    named: dict[str, Any] = {"id2label": NAMES, "label2id": {name: index for index, name in NAMES.items()}}
    layers = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4, "layer_type": "basic"}
    yolos = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[HEIGHT, WIDTH],
        num_detection_tokens=20, use_mid_position_embeddings=False, **named,
    )  # fmt: skip
    detr = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, d_model=32, encoder_layers=1,
        backbone_config=transformers.ResNetConfig(out_features=["stage4"], **layers), decoder_layers=1,
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2, num_queries=20,
        **named,
    )  # fmt: skip
    stages = transformers.RTDetrResNetConfig(out_features=["stage2", "stage3", "stage4"], **layers)
    rtdetr = transformers.RTDetrConfig(
        backbone_config=stages, d_model=32, encoder_hidden_dim=32, encoder_in_channels=[16] * 3, encoder_ffn_dim=32,
        decoder_ffn_dim=32, decoder_layers=1, decoder_in_channels=[32] * 3, encoder_attention_heads=2,
        decoder_attention_heads=2, num_queries=20, **named,
    )  # fmt: skip
    for name, model, is_open in (
        ("hf_yolos", transformers.YolosForObjectDetection(yolos), False),
        ("hf_detr", transformers.DetrForObjectDetection(detr), False),
        ("hf_rtdetr", transformers.RTDetrForObjectDetection(rtdetr), True),
    ):
        shake(model)
        export(
            _Outputs(model.eval()), folder / f"{name}.onnx", ["logits", "pred_boxes"],
            {"images": {0: "batch", 2: "height", 3: "width"}} if is_open else None,
        )  # fmt: skip


def of_torchvision(folder: Path) -> None:
    """An SSDlite of two classes and the background."""
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    shake(model)
    export(model.eval(), folder / "torchvision.onnx", ["boxes", "scores", "labels"], None)


def of_libreyolo(folder: Path) -> None:
    """A YOLOX, and a YOLOv9, whose boxes are corners where others have centre and size."""
    for name, kind, size in (("libre_yolox", libreyolo.LibreYOLOX, "n"), ("libre_yolo9", libreyolo.LibreYOLO9, "t")):
        kind(None, size=size).export(format="onnx", imgsz=HEIGHT, output_path=str(folder / f"{name}.onnx"))


def shake(model: torch.nn.Module) -> None:
    """Makes the results differ from cell to cell, which those of weights for a first training hardly do."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.05)


def export(model: torch.nn.Module, file: Path, outputs: list[str], axes: dict[str, dict[int, str]] | None) -> None:
    picture = torch.rand(1, 3, HEIGHT, WIDTH)
    torch.onnx.export(
        model, (picture,), str(file), input_names=["images"], output_names=outputs, opset_version=17, dynamo=False,
        dynamic_axes=axes,
    )  # fmt: skip


if __name__ == "__main__":
    torch.manual_seed(0)
    into = Path(sys.argv[1])
    for write in (of_ultralytics, of_transformers, of_torchvision, of_libreyolo):
        write(into)
