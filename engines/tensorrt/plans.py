"""One ONNX model to one TensorRT plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnx

from engines.build.cache import EngineCache
from engines.build.specification import Progress
from engines.errors import BuildError, ModelError
from engines.precision import Precision
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.progress import monitor

Shapes: TypeAlias = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""of each input: the smallest, the most typical and the largest"""

_FLAGS = {
    Precision.FP32: (),
    Precision.FP16: ("FP16",),
    Precision.INT8: ("FP16", "INT8"),
    Precision.FP8: ("FP16", "FP8"),
}


@dataclass(frozen=True, slots=True)
class PlanBuilder:
    """Builds plans with one TensorRT."""

    tensorrt: TensorRt
    precision: Precision
    cache: EngineCache
    timings: Path | None
    """file in the cache that holds what earlier builds timed; None where TensorRT times nothing"""

    def build(self, model: onnx.ModelProto, shapes: Shapes, progress: Progress) -> bytes:
        """A plan; the model states its types itself. Raises BuildError and ModelError."""
        trt = self.tensorrt
        with trt.errors() as said:
            plan = self._try(model, shapes, progress, ())
            if plan is None and trt.has_weak_typing and _FLAGS[self.precision]:
                # strong typing is young in 10.3; there flags may do what types in the model do not
                plan = self._try(model, shapes, progress, _FLAGS[self.precision])
        if plan is None:
            raise BuildError(
                f"{trt.name} {trt.version} cannot build the engine: {'; '.join(said) or 'it says no more'}"
            )
        return plan

    def _try(self, model: onnx.ModelProto, shapes: Shapes, progress: Progress, flags: tuple[str, ...]) -> bytes | None:
        """With flags the network is weakly typed."""
        trt, module = self.tensorrt, self.tensorrt.module
        parsed = trt.parse(model, strongly_typed=not flags)
        if parsed.errors:
            raise ModelError(f"{trt.name} {trt.version} cannot run the model's {'; '.join(parsed.errors)}")
        config = parsed.builder.create_builder_config()
        profile = parsed.builder.create_optimization_profile()
        for name, (least, typical, most) in shapes.items():
            profile.set_shape(name, least, typical, most)
        config.add_optimization_profile(profile)
        config.profiling_verbosity = module.ProfilingVerbosity.DETAILED  # `engine inspect` shows what was fused
        config.progress_monitor = monitor(module, lambda fraction: progress("building the engine", fraction))
        if self.precision is Precision.FP32:
            config.clear_flag(module.BuilderFlag.TF32)  # on unless told otherwise, with FP16's ten bits
        for flag in flags:
            config.set_flag(getattr(module.BuilderFlag, flag))
        if self.timings is not None:
            known = self.timings.read_bytes() if self.timings.is_file() else b""
            config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
        plan = parsed.builder.build_serialized_network(parsed.network, config)
        if plan is None:
            return None
        if self.timings is not None:
            self.cache.write(self.timings, bytes(config.get_timing_cache().serialize()))
        return bytes(plan)
