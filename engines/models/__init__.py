"""The small detector that ships with the project."""

from __future__ import annotations

from pathlib import Path


def street_onnx() -> Path:
    """Path of the shipped ONNX file; street.md beside it is its model card."""
    return Path(__file__).parent / "street.onnx"
