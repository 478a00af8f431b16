"""Trains the detector that ships with the project: `python -m daemon.demo.street.train --out street.onnx`.

A small anchor-free network with the outputs of YOLOX (Ge et al., arXiv 2107.08430): [1, N, 5 + C], boxes relative to
the grid, objectness and classes sigmoided. Pictures are drawn by `street` in all cores, letterboxed and encoded as
cameras do; cells are assigned to objects by how well they predict them (Feng et al., TOOD, arXiv 2108.07755).
PyTorch is imported here and nowhere else in the project.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812  as everywhere in the field
from torch import Tensor, nn

from daemon.demo.street.generator import LABELS
from daemon.demo.street.training_data import HEIGHT, PAD, WIDTH, Pictures, draw_many

STRIDES = (8, 16, 32)


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        nn.ReLU(inplace=True),  # cheaper than SiLU on a CPU
    )


class Bottleneck(nn.Module):
    """A residual block at half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels // 2, 1), conv(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        return x + self.body(x)


class Detector(nn.Module):
    """Backbone, top-down pyramid, decoupled head shared by the levels."""

    def __init__(self, classes: int = len(LABELS), width: int = 40) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), Bottleneck(32))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(conv(32, 64, 3, 2), Bottleneck(64), Bottleneck(64)),
                nn.Sequential(conv(64, 96, 3, 2), Bottleneck(96), Bottleneck(96)),
                nn.Sequential(conv(96, 96, 3, 2), Bottleneck(96), Bottleneck(96)),
            ]
        )
        self.lateral = nn.ModuleList(conv(c, width, 1) for c in (64, 96, 96))
        self.smooth = nn.ModuleList(conv(width, width) for _ in STRIDES)
        self.class_tower = conv(width, width)
        self.box_tower = conv(width, width)
        self.classify = nn.Conv2d(width, classes, 1)
        self.locate = nn.Conv2d(width, 5, 1)
        self.level_scale = nn.Parameter(torch.ones(len(STRIDES)))
        prior = -math.log((1 - 0.01) / 0.01)
        nn.init.constant_(self.classify.bias, prior)
        with torch.no_grad():
            self.locate.bias[4] = prior

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] BGR 0 to 255 to logits [B, N, 5 + C]."""
        x = self.stem(images / 128.0 - 1.0)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        above: Tensor | None = None
        outputs: list[Tensor] = []
        for i in reversed(range(len(STRIDES))):
            level = self.lateral[i](levels[i])
            if above is not None:
                level = level + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = self.smooth[i](level)
            box = self.locate(self.box_tower(above))
            box = torch.cat([box[:, :4] * self.level_scale[i], box[:, 4:]], 1)
            outputs.insert(0, torch.cat([box, self.classify(self.class_tower(above))], 1).flatten(2))
        return torch.cat(outputs, 2).transpose(1, 2)


class Exported(nn.Module):
    """As YOLOX exports it: scores sigmoided, boxes raw."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        """[1, 3, HEIGHT, WIDTH] to [1, N, 5 + C]."""
        raw = self.detector(images)
        return torch.cat([raw[..., :4], raw[..., 4:].sigmoid()], -1)


def grid(device: torch.device) -> Tensor:
    """[N, 3]: column, row and stride of every cell."""
    levels = []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(HEIGHT // stride, device=device), torch.arange(WIDTH // stride, device=device), indexing="ij"
        )
        levels.append(torch.stack([columns.flatten(), rows.flatten(), torch.full_like(rows.flatten(), stride)], 1))
    return torch.cat(levels).float()


def decode(raw: Tensor, cells: Tensor) -> Tensor:
    """Boxes [B, N, 4] xyxy in model-input pixels."""
    centre = (raw[..., :2] + cells[:, :2]) * cells[:, 2:]
    half = raw[..., 2:4].clamp(max=6).exp() * cells[:, 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of boxes that broadcast, [..., 4] xyxy."""
    inside = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return inside / (area - inside).clamp(min=1e-6)


def assign(scores: Tensor, boxes: Tensor, cells: Tensor, true_boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each cell [B, N] the object that it answers for, -1 none; and whether it lies in an object to ignore."""
    centres = (cells[:, :2] + 0.5) * cells[:, 2:]
    inside = (
        (centres[None, None] > true_boxes[:, :, None, :2]) & (centres[None, None] < true_boxes[:, :, None, 2:])
    ).all(-1)
    ignored = (inside & (labels == -2)[..., None]).any(1)
    middle = (true_boxes[..., :2] + true_boxes[..., 2:]) / 2
    near = ((centres[None, None] - middle[:, :, None]).abs() < 1.5 * cells[None, None, :, 2:]).all(-1)
    candidate = (inside | near) & (labels >= 0)[..., None]
    overlap = iou(boxes[:, None], true_boxes[:, :, None])
    of_class = scores.transpose(1, 2).gather(1, labels.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1]))
    metric = torch.where(candidate, (of_class + 1e-4).sqrt() * (overlap + 1e-3) ** 4, torch.zeros_like(overlap))
    best = metric.topk(8, dim=2)
    chosen = torch.zeros_like(metric).scatter_(2, best.indices, best.values)
    value, owner = chosen.max(1)
    return torch.where(value > 0, owner, torch.full_like(owner, -1)), ignored


def loss_of(raw: Tensor, cells: Tensor, true_boxes: Tensor, labels: Tensor) -> Tensor:
    """Objectness towards the overlap, classes and boxes of the cells that answer for an object."""
    boxes = decode(raw, cells)
    with torch.no_grad():
        scores = raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()
        owner, ignored = assign(scores, boxes, cells, true_boxes, labels)
        positive = owner >= 0
        target = true_boxes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))[positive]
        classes = labels.gather(1, owner.clamp(min=0))[positive]
    overlap = iou(boxes[positive], target)
    low = torch.minimum(boxes[positive][:, :2], target[:, :2])
    high = torch.maximum(boxes[positive][:, 2:], target[:, 2:])
    spread = ((boxes[positive][:, :2] + boxes[positive][:, 2:] - target[:, :2] - target[:, 2:]) / 2).square().sum(-1)
    box_loss = 1 - overlap + spread / (high - low).square().sum(-1).clamp(min=1e-6)  # distance IoU
    want = torch.zeros_like(raw[..., 4])
    want[positive] = overlap.detach().clamp(min=0.05).to(want.dtype)
    obj = F.binary_cross_entropy_with_logits(raw[..., 4], want, reduction="none")
    obj = obj[positive | ~ignored].sum()
    cls = F.binary_cross_entropy_with_logits(
        raw[..., 5:][positive], F.one_hot(classes, len(LABELS)).to(raw.dtype), reduction="sum"
    )
    return (5 * box_loss.sum() + obj + cls) / positive.sum().clamp(min=1)


def augment(pixels: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mirrors, zooms and changes the light of a batch [B, 3, H, W] on the device."""
    n, device = len(pixels), pixels.device
    zoom = torch.empty(n, device=device).uniform_(0.75, 1.35)
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    shift = torch.empty(n, 2, device=device).uniform_(-0.15, 0.15)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = flip / zoom, 1 / zoom
    theta[:, :, 2] = shift
    sampling = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels - PAD, sampling, mode="bilinear", padding_mode="zeros", align_corners=False) + PAD
    size = torch.tensor([WIDTH, HEIGHT], device=device, dtype=torch.float32)
    points = boxes.reshape(n, -1, 2) / size * 2 - 1
    slope = torch.stack([flip * zoom, zoom], 1)[:, None]
    points = ((points - shift[:, None]) * slope + 1) / 2 * size
    moved_boxes = points.reshape(n, -1, 4)
    moved_boxes = torch.cat(
        [
            torch.minimum(moved_boxes[..., :2], moved_boxes[..., 2:]),
            torch.maximum(moved_boxes[..., :2], moved_boxes[..., 2:]),
        ],
        -1,
    )
    limit = torch.cat([size, size])
    clipped = moved_boxes.clamp(min=0).minimum(limit)
    area = (moved_boxes[..., 2:] - moved_boxes[..., :2]).prod(-1).clamp(min=1e-6)
    kept = (clipped[..., 2:] - clipped[..., :2]).prod(-1) / area
    small = (clipped[..., 2:] - clipped[..., :2]).amin(-1) < 3
    labels[(labels >= 0) & ((kept < 0.5) | small)] = -2
    labels[kept < 0.05] = -1
    gain = torch.empty(n, 3, 1, 1, device=device).uniform_(0.93, 1.07) * torch.empty(
        n, 1, 1, 1, device=device
    ).uniform_(0.7, 1.3)
    lit = ((moved - 128) * torch.empty(n, 1, 1, 1, device=device).uniform_(0.8, 1.2) + 128) * gain
    noisy = lit + torch.randn_like(lit) * torch.empty(n, 1, 1, 1, device=device).uniform_(0, 6)
    return noisy.clamp(0, 255), clipped * (labels != -1)[..., None]


def train(data: Pictures, minutes: float, batch: int, device: torch.device) -> Detector:
    """Trains for so many minutes; the averaged weights."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    detector = Detector().to(device)
    average = torch.optim.swa_utils.AveragedModel(
        detector, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999), use_buffers=True
    )
    optimiser = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=0.02)
    cells = grid(device)
    pixels = torch.from_numpy(data.pixels).to(device)
    boxes, labels = torch.from_numpy(data.boxes).to(device), torch.from_numpy(data.labels).to(device)
    began, step, told = time.monotonic(), 0, 0.0
    while (spent := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 300) * (0.02 + 0.98 * (1 + math.cos(math.pi * spent)) / 2)
        index = torch.from_numpy(rng.integers(0, len(pixels), batch)).to(device)
        chosen = labels[index].clone()
        images, targets = augment(pixels[index].permute(0, 3, 1, 2).float(), boxes[index], chosen)
        with torch.autocast(device.type, torch.bfloat16):
            raw = detector(images)
        loss = loss_of(raw.float(), cells, targets, chosen)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
        optimiser.step()
        average.update_parameters(detector)
        step += 1
        if spent - told > 0.05:
            told = spent
            print(f"{spent:4.0%} step {step} loss {loss.item():.3f}", flush=True)  # noqa: T201
    return average.module.eval()


def export(detector: Detector, path: Path) -> None:
    """Writes the ONNX file, with the class names and the family in its metadata."""
    example = torch.zeros(1, 3, HEIGHT, WIDTH)
    torch.onnx.export(
        Exported(detector.cpu().float()), (example,), str(path), input_names=["images"], output_names=["output"],
        opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(path)
    names = str(dict(enumerate(LABELS)))
    onnx.helper.set_model_props(model, {"names": names, "family": "yolox", "licence": "Apache-2.0"})
    onnx.save(model, path)


def main() -> None:
    """Draws, trains and exports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--pictures", type=int, default=40_000, help="to draw")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training")
    parser.add_argument("--batch", type=int, default=128)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.monotonic()
    data = draw_many(0, options.pictures)
    print(f"{len(data.pixels)} pictures in {time.monotonic() - began:.0f} s; training on {device}", flush=True)  # noqa: T201
    detector = train(data, options.minutes, options.batch, device)
    print(f"{sum(p.numel() for p in detector.parameters())} parameters", flush=True)  # noqa: T201
    export(detector, options.out)


if __name__ == "__main__":
    main()
