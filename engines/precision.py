"""FP32, FP16, INT8 and FP8: a canonical detector rewritten so that it carries its types itself."""

from __future__ import annotations

from enum import Enum


class Precision(str, Enum):
    """What a detector computes with."""

    FP32 = "fp32"
    """as in the model's file"""
    FP16 = "fp16"
    INT8 = "int8"
    """convolutions and matrix products in calibrated 8-bit integers, FP16 elsewhere"""
    FP8 = "fp8"
    """convolutions and matrix products in calibrated 8-bit floats (E4M3), FP16 elsewhere"""
