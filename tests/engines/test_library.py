"""What a program that uses the library may count on: a light import, a process left as it was, examples that run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from daemon.demo.street.generator import StreetScene
from engines.image_file import read_image
from engines.models import street_onnx
from tests.conftest import ROOT

MATERIAL = ROOT.parent / "shared" / "material"
TENSORRT = """
import json, os
from engines.build.specification import BuildSpec
from engines.model import read_model
from engines.models import street_onnx
from engines.precision import Precision
from engines.tensorrt.backend import find
from engines.tensorrt.build import Target, detector_key
before = dict(os.environ)  # OpenCV has been imported
target = Target(find("tensorrt_rtx"), None)
changed = dict(os.environ) != before
os.environ["NVIDIA_TF32_OVERRIDE"] = "too late"
key = detector_key(BuildSpec(read_model(street_onnx()), Precision.FP32, 1), target)
print(json.dumps({"changed": changed, "key": key["tf32"]}))
"""

PROCESS = """
import json, logging, os, signal, sys, threading, warnings

def state():
    root, signals = logging.root, [s for s in signal.valid_signals() if isinstance(s, signal.Signals)]
    return {
        "environment": dict(os.environ),
        "filters": [str(f) for f in warnings.filters],
        "signals": {s.name: str(signal.getsignal(s)) for s in signals},
        "logging": [str(root.handlers), root.level, logging.raiseExceptions, root.manager.disable],
        "loggers": {
            name: [str(logger.handlers), logger.level, logger.propagate, logger.disabled]
            for name, logger in root.manager.loggerDict.items() if isinstance(logger, logging.Logger)
        },
        "hooks": [sys.excepthook is sys.__excepthook__, str(threading.excepthook), sys.stdout is sys.__stdout__],
        "errors": str(numpy.geterr()),
        "opencv": [cv2.getNumThreads(), cv2.ocl.useOpenCL()],
        "folder": os.getcwd(),
        "umask": os.umask(0o022),
    }

import cv2, numpy, onnx, onnxruntime  # what they do to the process when they are imported is theirs
import onnx.compose, onnx.inliner, onnx.version_converter
before = state()
from engines import Detector
from engines.models import street_onnx
with Detector.load(street_onnx(), backend="onnxruntime") as detector:
    detector.detect(numpy.zeros((360, 640, 3), numpy.uint8))
after = state()
after["loggers"] = {k: v for k, v in after["loggers"].items() if v != ["[]", 0, True, False]}  # loggers, but untouched
print(json.dumps([before, after, threading.active_count()]))
"""


def run(program: str, environment: dict[str, str] | None = None, folder: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_other_library() -> None:
    loaded = json.loads(run("import sys, json, engines; print(json.dumps(sorted(sys.modules)))"))
    assert not {"numpy", "cv2", "onnx", "onnxruntime", "logging"} & set(loaded)


def test_detecting_leaves_the_process_unchanged() -> None:
    set_for_tests = {"ORT_DISABLE_TELEMETRY", "NVIDIA_TF32_OVERRIDE"}
    kept = {name: value for name, value in os.environ.items() if name not in set_for_tests}
    before, after, threads = json.loads(run(PROCESS, kept))
    assert after == before
    assert threads == 1


EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the examples name: a real model where there is one, else the one that ships with the project."""
    folder = tmp_path_factory.mktemp("examples")
    real = MATERIAL / "models" / "yolox_nano_416.onnx"
    shutil.copy(real if real.is_file() else street_onnx(), folder / "yolox_nano.onnx")
    street = MATERIAL / "images" / "bus.jpg"
    image = read_image(street) if real.is_file() else StreetScene(640, 360, seed=3).render(4.0)[0]
    cv2.imwrite(str(folder / "street.jpg"), image)
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(example: str, example_folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(example_folder / "cache")}
    said = run(example, environment, example_folder)
    assert said.strip(), "an example shows something"


def test_the_first_example_prints_objects(example_folder: Path) -> None:
    said = run(EXAMPLES[0], os.environ | {"PYTHONPATH": str(ROOT)}, example_folder)
    assert re.search(r"^\w+ 0\.\d+ \(\d+\.\d+(, \d+\.\d+){3}\)$", said, re.MULTILINE)


@pytest.mark.parametrize("value", [None, "0", "1"])
def test_tensorrt_leaves_the_environment_unchanged(value: str | None) -> None:
    """Engines run only with the value that they were built with, so that is a part of what they are found by."""
    pytest.importorskip("tensorrt_rtx")
    environment = {name: held for name, held in os.environ.items() if name != "NVIDIA_TF32_OVERRIDE"}
    if value is not None:
        environment["NVIDIA_TF32_OVERRIDE"] = value
    answer = json.loads(run(TENSORRT, environment))
    assert answer == {"changed": False, "key": value}
