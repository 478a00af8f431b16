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

import torch  # noqa: E402


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes [N, 4] xyxy that remain, best first."""
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        box, others = dets[index], dets[kept]
        low, high = torch.maximum(others[:, :2], box[:2]), torch.minimum(others[:, 2:], box[2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        both = (others[:, 2:] - others[:, :2]).prod(dim=1) + (box[2:] - box[:2]).prod()
        if not (shared > iou_threshold * (both - shared)).any():
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)


def has_operators() -> bool:
    """In the place of torchvision's, which would look for its library."""
    return True


# torchvision's own operators need CUDA's libraries, which a PyTorch for CPUs lacks
WITHOUT_CUDA = torch.version.cuda is None
if WITHOUT_CUDA:
    operators = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        operators.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.impl("nms", nms, "CPU")

import libreyolo  # noqa: E402
import torchvision  # noqa: E402
import transformers  # noqa: E402
import ultralytics  # noqa: E402
from optimum.exporters.onnx import onnx_export_from_model  # noqa: E402

if WITHOUT_CUDA:
    torchvision.extension._has_ops = has_operators

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
    """YOLOv8, YOLO11 with NMS and with its input size left open, YOLO26 without need of NMS, and RT-DETR."""
    (folder / "rtdetr.yaml").write_text(_RTDETR, encoding="utf-8")
    for name, kind, options in (
        ("yolov8n", ultralytics.YOLO, {}),
        ("yolo11n", ultralytics.YOLO, {"nms": True, "conf": 1e-6}),
        ("yolo11n_open", ultralytics.YOLO, {"dynamic": True}),
        ("yolo26n", ultralytics.YOLO, {"end2end": True}),
        ("rtdetr", ultralytics.RTDETR, {}),
    ):
        made = str(folder / "rtdetr.yaml") if name == "rtdetr" else f"{name.partition('_')[0]}.yaml"
        model = kind(made)
        shake(model.model)
        written = model.export(format="onnx", imgsz=[HEIGHT, WIDTH], opset=17, simplify=False, **options)
        Path(written).rename(folder / f"{name}.onnx")


def of_hugging_face(folder: Path) -> None:
    """DETR and YOLOS with a softmax, RT-DETR and D-FINE with sigmoids, as Optimum writes them: of any input size."""
    named: dict[str, Any] = {"id2label": NAMES, "label2id": {name: index for index, name in NAMES.items()}}
    layers = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4}
    levels: dict[str, Any] = {"out_features": ["stage2", "stage3", "stage4"], **layers}
    stages = {"stage_in_channels": [8, 8, 16, 16], "stage_mid_channels": [8] * 4, "stage_out_channels": [8, 16, 16, 16]}
    once = {"stage_num_blocks": [1] * 4, "stage_numb_of_layers": [1] * 4, "stem_channels": [3, 8, 8]}
    yolos = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[HEIGHT, WIDTH],
        num_detection_tokens=20, use_mid_position_embeddings=False, **named,
    )  # fmt: skip
    detr = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, d_model=32, encoder_layers=1,
        backbone_config=transformers.ResNetConfig(out_features=["stage4"], layer_type="basic", **layers),
        decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2,
        num_queries=20, **named,
    )  # fmt: skip
    deformable: dict[str, Any] = {
        "d_model": 32, "encoder_hidden_dim": 32, "encoder_in_channels": [16] * 3, "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32, "decoder_layers": 1, "decoder_in_channels": [32] * 3, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "num_queries": 20, **named,
    }  # fmt: skip
    rtdetr = transformers.RTDetrConfig(
        backbone_config=transformers.RTDetrResNetConfig(layer_type="basic", **levels), **deformable
    )
    dfine = transformers.DFineConfig(
        backbone_config=transformers.HGNetV2Config(**levels, **stages, **once), **deformable
    )
    for name, model in (
        ("hf_yolos", transformers.YolosForObjectDetection(yolos)),
        ("hf_detr", transformers.DetrForObjectDetection(detr)),
        ("hf_rtdetr", transformers.RTDetrForObjectDetection(rtdetr)),
        ("hf_dfine", transformers.DFineForObjectDetection(dfine)),
    ):
        shake(model)
        onnx_export_from_model(
            model.eval(), folder / name, task="object-detection", opset=17, do_validation=False, height=HEIGHT,
            width=WIDTH,
        )  # fmt: skip
        (folder / name / "model.onnx").rename(folder / f"{name}.onnx")


def of_torchvision(folder: Path) -> None:
    """An SSDlite of two classes and the background."""
    model = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    shake(model)
    torch.onnx.export(
        model.eval(), (torch.rand(1, 3, HEIGHT, WIDTH),), str(folder / "torchvision.onnx"), input_names=["images"],
        output_names=["boxes", "scores", "labels"], opset_version=17, dynamo=False,
    )  # fmt: skip


def of_libreyolo(folder: Path) -> None:
    """A YOLOX, a D-FINE and a DEIM, and a YOLOv9, whose boxes are corners where others have centre and size."""
    for name, kind, variant, size in (
        ("libre_yolox", libreyolo.LibreYOLOX, "n", 128),
        ("libre_yolo9", libreyolo.LibreYOLO9, "t", 128),
        ("libre_dfine", libreyolo.LibreDFINE, "n", 320),
        ("libre_deim", libreyolo.LibreDEIM, "n", 320),
    ):
        model = kind(None, size=variant)
        shake(model.model)
        model.export(format="onnx", imgsz=size, output_path=str(folder / f"{name}.onnx"))


def shake(model: torch.nn.Module) -> None:
    """Makes the results differ from cell to cell, which those of weights for a first training hardly do."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights), alpha=0.05)


if __name__ == "__main__":
    torch.manual_seed(0)
    into = Path(sys.argv[1])
    for write in (of_ultralytics, of_hugging_face, of_torchvision, of_libreyolo):
        write(into)
