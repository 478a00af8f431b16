"""Engines are really built, with TensorRT for RTX, which needs no GPU for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from engines.backends import build_target
from engines.build import specification
from engines.build.cache import EngineCache
from engines.build.calibration import read_calibration_set
from engines.build.specification import BuildSpec
from engines.errors import BackendError, BuildError, CalibrationError, ModelError
from engines.model import read_model
from engines.models import street_onnx
from engines.precision import Precision
from engines.tensorrt.backend import TensorRt, find
from engines.tensorrt.build import Engines, Target, build_engines, find_engines
from engines.tensorrt.plans import PlanBuilder
from tests.conftest import ROOT, missing, need_bindings, telling
from tests.reference import MODELS

RTX_1_6 = ROOT / ".venv" / "tensorrt-rtx-1.6"


@pytest.fixture(scope="module")
def target() -> Target:
    try:
        return build_target("tensorrt_rtx")
    except BackendError as error:
        missing("TensorRT for RTX", str(error))
        raise


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def silent(_what: str, _fraction: float) -> None:
    pass


def street(precision: Precision = Precision.FP32, max_batch: int = 2) -> BuildSpec:
    return BuildSpec(read_model(street_onnx()), precision, max_batch)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=lambda p: p.value)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_builds(
    name: str,
    precision: Precision,
    target: Target,
    cache: EngineCache,
    material: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """INT8 with ranges from two pictures, which is enough to build; test_quantization.py measures good ranges."""
    monkeypatch.setattr(specification, "read_calibration_set", partial(read_calibration_set, least=2))
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for picture in sorted((material / "labelled" / "coco_val2017_128" / "images").iterdir())[:2]:
        (pictures / picture.name).symlink_to(picture)
    spec = BuildSpec(model, precision, 4, pictures)
    lacking = [node for node in model.proto.graph.node if not target.tensorrt.runs(node.op_type)]
    if lacking:
        facts = model.path, target.tensorrt.version, "NonMaxSuppression", lacking[0].name, "onnxruntime"
        with pytest.raises(ModelError, match=telling(*facts)):
            build_engines(spec, target, cache, silent)
        return
    built = build_engines(spec, target, cache, silent)
    assert not built.cached
    assert built.preprocess.stat().st_size > 100_000
    assert built.detector.stat().st_size > 500_000


def test_progress_grows_to_the_end(target: Target, cache: EngineCache) -> None:
    told: list[tuple[str, float]] = []
    build_engines(street(), target, cache, lambda what, fraction: told.append((what, fraction)))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert len(told) > 50
    assert {what for what, _ in told} == {"reading the model", "building the engine", "ready"}


def test_a_second_build_is_found(target: Target, cache: EngineCache) -> None:
    assert find_engines(street(), target, cache) is None
    first = build_engines(street(), target, cache, silent)
    second = build_engines(street(), target, EngineCache(cache.folder), silent)
    assert (first.cached, second.cached) == (False, True)
    assert (second.preprocess, second.detector) == (first.preprocess, first.detector)
    assert find_engines(street(), target, cache) is not None


@pytest.mark.parametrize(
    "other",
    [
        lambda: street(max_batch=4),
        lambda: street(Precision.FP16),
        lambda: BuildSpec(read_model(street_onnx(), family="yolox", labels=None), Precision.FP32, 3),
    ],
    ids=["batch", "precision", "another batch"],
)
def test_what_differs_is_rebuilt(target: Target, cache: EngineCache, other: object) -> None:
    build_engines(street(), target, cache, silent)
    assert find_engines(other(), target, cache) is None  # type: ignore[operator]  # a callable of the table above


def test_another_version_rebuilds(target: Target, cache: EngineCache) -> None:
    built = build_engines(street(), target, cache, silent)
    later = TensorRt(target.tensorrt.name, target.tensorrt.module)
    later.version = "99.1"
    again = build_engines(street(), Target(later, None), cache, silent)
    assert not again.cached
    assert again.detector != built.detector
    assert len({str(entry.key["tensorrt"]) for entry in cache.entries()}) == 2


def test_a_damaged_plan_is_built_again(target: Target, cache: EngineCache) -> None:
    built = build_engines(street(), target, cache, silent)
    whole = built.detector.read_bytes()
    built.detector.write_bytes(whole[: len(whole) // 2])
    again = build_engines(street(), target, cache, silent)
    assert not again.cached
    assert len(again.detector.read_bytes()) == len(whole)


def test_two_who_want_the_same_build_it_once(
    target: Target, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Engines] = []
    plans: list[bytes] = []
    build = PlanBuilder.build

    def counted(*arguments: object) -> bytes:
        plans.append(build(*arguments))  # type: ignore[arg-type]  # handed on as they came
        return plans[-1]

    monkeypatch.setattr(PlanBuilder, "build", counted)
    threads = [
        threading.Thread(
            target=lambda: built.append(build_engines(street(), target, EngineCache(cache.folder), silent))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 2  # a preprocess and a detector engine
    assert built[0].detector == built[1].detector


def test_int8_without_calibration_pictures(target: Target, cache: EngineCache) -> None:
    with pytest.raises(CalibrationError, match=telling("ospreyd engine build --precision int8 --calibrate-from")):
        build_engines(street(Precision.INT8), target, cache, silent)


def one_operator(op: str) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], name="here")], "g", [value], [out])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_an_operator_that_tensorrt_does_not_know(target: Target, cache: EngineCache) -> None:
    builder = PlanBuilder(target.tensorrt, Precision.FP32, cache, None)
    with pytest.raises(ModelError, match=r"^tensorrt_rtx .* cannot run the model's Det \(here\): "):
        builder.build(one_operator("Det"), {}, silent)


def test_a_build_that_fails_says_what_tensorrt_said(target: Target, cache: EngineCache) -> None:
    builder = PlanBuilder(target.tensorrt, Precision.FP32, cache, None)
    shapes = {"x": ((2, 4), (1, 4), (1, 4))}  # the smallest is larger than the largest
    with pytest.raises(BuildError, match=r"^tensorrt_rtx .* cannot build the engine: .*profile"):
        builder.build(one_operator("Relu"), shapes, silent)


PROGRAM = """
import json, sys
from pathlib import Path
from engines.backends import build_target
from engines.build.cache import EngineCache
from engines.errors import PrecisionError
from engines.model import read_model
from engines.precision import Precision
from engines.build.specification import BuildSpec
from engines.tensorrt.build import build_engines

target, cache = build_target("tensorrt_rtx"), EngineCache(Path(sys.argv[1]))
can = [precision.value for precision in Precision if target.tensorrt.can(precision)]
report = {"version": target.tensorrt.version, "can": can, "built": {}}
for file in sys.argv[2:]:
    model = read_model(Path(file), labels="coco")
    if all(target.tensorrt.runs(node.op_type) for node in model.proto.graph.node):
        engines = build_engines(BuildSpec(model, Precision.FP16, 4), target, cache, lambda *_: None)
        report["built"][model.path.stem] = engines.detector.stat().st_size
try:
    build_engines(BuildSpec(model, Precision.INT8, 4, Path(sys.argv[1])), target, cache, lambda *_: None)
except PrecisionError as error:
    report["int8"] = str(error)
print(json.dumps(report))
"""


@pytest.mark.timeout(300)
def test_tensorrt_rtx_1_6_builds_every_model_too(tmp_path: Path, material: Path) -> None:
    """The newest that runs on data-centre GPUs of compute capability 9.0. It cannot do INT8 and says so before work."""
    need_bindings(RTX_1_6)
    files = [str(material / "models" / f"{name}.onnx") for name in sorted(MODELS)]
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "engines"), *files],
        env=os.environ | {"PYTHONPATH": f"{RTX_1_6}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert "Myelin" not in answer.stderr  # native code prints past every logger
    assert report["version"] == "1.6.1.120"
    assert report["can"] == ["fp32", "fp16", "fp8"]
    assert len(report["built"]) == len(MODELS) - 1  # all but the one with NMS inside
    assert report["int8"] == "tensorrt_rtx 1.6.1.120 cannot build int8; it can: fp32, fp16, fp8"


def test_find_is_the_same_object_every_time(target: Target) -> None:
    assert find("tensorrt_rtx") is target.tensorrt
