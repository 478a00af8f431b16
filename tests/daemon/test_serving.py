"""Models that come, go and come again, faster than the inference thread opens them: real lanes on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.batch import Batcher
from daemon.config.schema import Config
from daemon.handoff import Handoff
from daemon.infer import InferenceThread
from daemon.records import Frame, FrameResult, ModelState
from daemon.serving import Generation, Serving
from daemon.stats import Stats
from engines.backends import CPU, choose
from engines.errors import EngineError
from tests.conftest import wait_for


def config(**model: Any) -> Config:
    return Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "localhost"},
            "cameras": {"a": {"source": "rtsp://a/1"}},
            "models": {"default": model},
            "inference": {"backend": CPU, "max_batch": 2},
        }
    )


class Served:
    """Serving and what it is wired to; the threads start when `start` is called, each by itself."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.results: list[FrameResult] = []
        self.lost: dict[str, str] = {}
        self.released = threading.Event()
        stats = Stats()
        self.handoff = Handoff(Batcher({"a": "default"}, 0.0, 1e9), stats)
        self.inference = InferenceThread("cpu:0", self.handoff.take, self.deliver, stats, self.failures.append)
        self.serving = Serving(
            choose(CPU), self.inference, self.handoff, lambda _: 0.5, lambda: None, self.give_up, self.failures.append
        )

    def deliver(self, results: Sequence[FrameResult], frames: Sequence[Frame]) -> None:
        self.results.extend(results)
        for frame in frames:
            frame.release()

    def give_up(self, model: str, why: str) -> None:
        self.lost[model] = why

    def frame(self) -> None:
        """Hands one frame on."""
        image = np.zeros((96, 128, 3), np.uint8)
        self.handoff.put(Frame("a", 1, image, 0.0, 0.0, None, True, self.released.set))

    @property
    def state(self) -> ModelState | None:
        infos = self.serving.infos
        return infos["default"].status.state if "default" in infos else None


@contextmanager
def served() -> Iterator[Served]:
    made = Served()
    try:
        yield made
    finally:
        made.handoff.close()
        made.serving.stop()
        made.inference.stop()
        assert made.serving.join(20.0)
        assert made.inference.join(20.0)
    assert made.failures == []


def test_a_model_is_ready_and_dropped() -> None:
    with served() as s:
        s.inference.start()
        s.serving.start()
        s.serving.serve(Generation.read("default", config()))
        wait_for(lambda: s.state is ModelState.READY, "the model")
        s.frame()
        wait_for(lambda: s.results, "the result")
        s.serving.drop("default")
        assert s.serving.infos == {}
        assert s.serving.latest("default") is None
        s.released.clear()
        s.frame()  # refused at once: nobody would ever take it
        assert s.released.is_set()


def test_a_model_that_was_dropped_and_is_wanted_again_before_it_was_opened() -> None:
    """Of the two lanes that are opened, the first is closed again, and gets no frame."""
    with served() as s:
        s.serving.start()
        s.serving.serve(Generation.read("default", config()))
        wait_for(lambda: not s.inference._asked.empty(), "the lane to be about to be opened")
        s.serving.drop("default")
        held = threading.Event()
        s.inference._asked.put(s.frame)
        s.serving._preparing.add = lambda _job: held.set()  # type: ignore[method-assign,assignment]  # which takes its time
        s.serving.serve(Generation.read("default", config()))
        assert held.is_set()
        s.inference.start()
        wait_for(s.inference._asked.empty, "both to be done")
        s.inference.refresh("default")
        wait_for(s.inference._asked.empty, "one more turn")
        assert s.state is ModelState.BUILDING
        assert s.failures == []


def test_what_a_model_is_of(tmp_path: Path) -> None:
    """Its own thresholds aside, which change as it runs."""
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class{i}" for i in range(len(Generation.read("default", config()).model.labels))))
    old = config(labels=str(labels))
    generation = Generation.read("default", old)
    assert generation.is_of(old)
    assert generation.is_of(config(labels=str(labels), confidence=0.9))
    assert not generation.is_of(config(labels=str(labels), precision="fp32"))
    assert not generation.is_of(config(labels=str(labels), calibration=str(tmp_path)))
    labels.write_text(labels.read_text() + "\n")
    assert not generation.is_of(old)
    with pytest.raises(EngineError):
        Generation.read("default", config(file=str(tmp_path / "none.onnx")))
