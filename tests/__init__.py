"""Tests and benchmarks; they run with the environment that the command `ospreyd` gives itself."""

import os

# before a test imports what reads them, as daemon/__main__.py does
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
