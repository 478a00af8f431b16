"""What the model manager does where the GPU refuses: real threads and build processes, and no CUDA behind them."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.config.model import Model as ModelConfig
from daemon.inference import model_manager
from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelState
from engines.backends import Backend, Prepared, SessionSettings
from engines.build.specification import Progress
from engines.errors import EngineError, GpuMemoryError, NotPreparedError
from engines.model import Model
from engines.models import street_onnx
from tests.benchmarks.fairness import SlowSession
from tests.conftest import wait_for
from tests.daemon.managing import Managed, config, frames_coming, managed

GPU = Backend("tensorrt", "10.3", "it was asked for", "Orin")
BUILD = 0.3  # seconds


def engine(settings: SessionSettings) -> Path:
    """Where a build leaves what it has built."""
    assert settings.cache is not None
    return settings.cache / f"{settings.max_batch}.plan"


def build(_backend: Backend, _config: ModelConfig, settings: SessionSettings, progress: Progress) -> None:
    """In place of TensorRT's builder, in a process of its own: leaves its process id."""
    progress("building the engine", 0.5)
    time.sleep(BUILD)
    engine(settings).write_text(str(os.getpid()))


@dataclass
class Engines:
    """In place of `engines.backends`: finds what `build` has left, and fails to open it as long as it is told to."""

    fits: int = 64
    """largest batch that there is memory for"""
    refuses: int = 0
    """how many more plans are refused"""
    opened: list[tuple[int, str]] = field(default_factory=list)
    """batch and thread of each attempt"""
    builders: list[int] = field(default_factory=list)
    """processes that have built what was opened"""
    closed: list[str] = field(default_factory=list)
    """threads that sessions were closed in"""
    fails_to_close: bool = False

    def find(self, backend: Backend, model: Model, settings: SessionSettings) -> Prepared | None:
        return Prepared(backend, model, settings) if engine(settings).exists() else None

    def open(self, prepared: Prepared, _frame_sizes: Any) -> Session:
        settings = prepared.settings
        self.opened.append((settings.max_batch, threading.current_thread().name))
        self.builders.append(int(engine(settings).read_text()))
        if settings.max_batch > self.fits:
            raise GpuMemoryError("the GPU has 200 MB free and 400 MB are needed")
        if self.refuses:
            self.refuses -= 1
            engine(settings).unlink()
            raise NotPreparedError("it is of another version")
        return Session(self, settings.max_batch)


class Session(SlowSession):
    """2 ms a batch."""

    def __init__(self, engines: Engines, max_batch: int) -> None:
        super().__init__(max_batch, 0.002, 0.0)
        self._engines = engines

    def close(self) -> None:
        assert not self._pending, "a batch is in flight"
        self._engines.closed.append(threading.current_thread().name)
        if self._engines.fails_to_close:
            raise KeyError("a mistake")


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    made = Engines()
    monkeypatch.setattr(model_manager, "find_prepared", made.find)
    monkeypatch.setattr(model_manager, "open_session", made.open)
    monkeypatch.setattr(model_manager, "prepare_model", build)
    return made


@pytest.fixture
def m(engines: Engines) -> Iterator[Managed]:
    with managed(GPU) as made:
        made.start()
        yield made


def revision(tmp_path: Path, max_batch: int = 8) -> ModelRevision:
    return ModelRevision.read("default", config(max_batch, inference={"cache": str(tmp_path)}))


def is_ready(m: Managed) -> bool:
    return m.state is ModelState.READY and m.said[-1].detail == ""


def test_too_little_memory_builds_for_half_the_batch(m: Managed, engines: Engines, tmp_path: Path) -> None:
    """Each in a process of its own, with progress; nothing is built or opened in the inference worker."""
    engines.fits = 2
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)
    assert [batch for batch, _ in engines.opened] == [8, 4, 2]
    assert {thread for _, thread in engines.opened} == {"load"}
    assert len(set(engines.builders)) == 3
    assert os.getpid() not in engines.builders
    assert [s.progress for s in m.said if s.detail == "building the engine"] == [50, 50, 50]
    with frames_coming(m):
        wait_for(lambda: m.results, "a result")


def test_too_little_memory_for_a_single_picture_is_a_failure(m: Managed, engines: Engines, tmp_path: Path) -> None:
    engines.fits = 0
    m.manager.load(revision(tmp_path, 2))
    wait_for(lambda: m.state is ModelState.FAILED, "the failure", 60)
    assert [batch for batch, _ in engines.opened] == [2, 1]
    assert m.lost == {"default": "the GPU has 200 MB free and 400 MB are needed"}


def test_a_refused_plan_is_built_again_once(m: Managed, engines: Engines, tmp_path: Path) -> None:
    engines.refuses = 1
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)
    assert len(set(engines.builders)) == 2


def test_a_plan_that_is_refused_again_is_a_failure(m: Managed, engines: Engines, tmp_path: Path) -> None:
    engines.refuses = 99
    m.manager.load(revision(tmp_path))
    wait_for(lambda: m.state is ModelState.FAILED, "the failure", 60)
    assert len(engines.opened) == 2
    assert m.lost == {"default": "it is of another version"}


def test_what_ran_runs_until_its_successor_is_open(m: Managed, engines: Engines, tmp_path: Path) -> None:
    """Through two builds; then its session is closed, elsewhere than in the inference worker, without a batch lost."""
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)
    with frames_coming(m):
        wait_for(lambda: m.results, "a result")
        engines.fits = 2
        m.manager.load(revision(tmp_path, 4))
        during = len(m.results)
        wait_for(lambda: engines.closed, "the exchange", 60)
        assert len(m.results) > during + 10, "frames went on meanwhile"
        after = len(m.results)
        wait_for(lambda: len(m.results) > after + 5, "results of the successor")
    assert engines.closed[0] == "load"
    numbers = [result.sequence for result in m.results]
    assert numbers == sorted(set(numbers))


def test_a_failed_successor_leaves_what_runs(m: Managed, engines: Engines, tmp_path: Path) -> None:
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)
    engines.fits = 0
    m.manager.load(revision(tmp_path, 1))
    wait_for(lambda: "GPU has 200 MB" in m.said[-1].detail, "the failure", 60)
    assert m.state is ModelState.READY
    assert m.lost == {}
    with frames_coming(m):
        wait_for(lambda: m.results, "a result")
    engines.fits = 64
    assert m.manager.retry("default"), "the successor is tried again"


def test_a_session_that_is_no_longer_wanted_is_closed(
    m: Managed, engines: Engines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is opened while its model is dropped."""
    entered, go_on = threading.Event(), threading.Event()

    def slowly(prepared: Prepared, frame_sizes: Any) -> Session:
        entered.set()
        assert go_on.wait(30)
        return engines.open(prepared, frame_sizes)

    monkeypatch.setattr(model_manager, "open_session", slowly)
    m.manager.load(revision(tmp_path))
    assert entered.wait(60)
    m.manager.drop("default")
    go_on.set()
    wait_for(lambda: engines.closed == ["load"], "its end")
    assert m.manager.infos == {}


def test_a_session_that_fails_to_close_ends_nothing(
    engines: Engines, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After it was replaced, when it is no longer wanted, and in the inference worker at the end."""
    engines.fails_to_close = True
    for max_batch in (8, 4, 2):
        engine(revision(tmp_path, max_batch).settings).write_text(str(os.getpid()))
    with managed(GPU) as m:
        m.start()
        m.manager.load(revision(tmp_path))
        wait_for(partial(is_ready, m), "the model", 60)
        m.manager.load(revision(tmp_path, 4))
        wait_for(lambda: engines.closed == ["load"], "the exchange", 60)

        def dropped(prepared: Prepared, frame_sizes: Any) -> Session:
            m.manager.load(revision(tmp_path, 8))
            monkeypatch.setattr(model_manager, "open_session", engines.open)
            return engines.open(prepared, frame_sizes)

        monkeypatch.setattr(model_manager, "open_session", dropped)
        m.manager.load(revision(tmp_path, 2))
        wait_for(lambda: len(engines.closed) == 3, "a session that is not wanted and the exchange after it", 60)
        with frames_coming(m):
            wait_for(lambda: m.results, "a result")
    assert engines.closed == ["load"] * 3 + ["inference"]
    wait_for(lambda: caplog.text.count("KeyError: 'a mistake'") == 4, "each in the log")


def test_what_nobody_expects_is_a_failure_of_the_model(
    m: Managed, engines: Engines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Where it is opened, and where its file is read again; the thread goes on."""

    def mistaken(*_: Any) -> Any:
        raise KeyError("a mistake")

    with monkeypatch.context() as patched:
        patched.setattr(model_manager, "open_session", mistaken)
        m.manager.load(revision(tmp_path))
        wait_for(lambda: m.state is ModelState.FAILED, "the failure", 60)
    assert "KeyError: 'a mistake'" in m.lost.pop("default")
    file = tmp_path / "model.onnx"
    shutil.copy(street_onnx(), file)
    replaced = ModelRevision.read("default", config(4, inference={"cache": str(tmp_path)}, file=str(file)))
    file.touch()
    engines.refuses = 1
    with monkeypatch.context() as patched:
        patched.setattr(ModelRevision, "read", mistaken)
        m.manager.load(replaced)
        wait_for(lambda: "default" in m.lost, "the failure", 60)
    assert "KeyError: 'a mistake'" in m.lost["default"]
    assert caplog.text.count("Traceback") == 2
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)


def test_errors_of_both_kinds_cross_the_process(m: Managed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A builder that runs out of the GPU's memory is followed by one for half the batch."""
    monkeypatch.setattr(model_manager, "prepare_model", build_up_to_two)
    m.manager.load(revision(tmp_path))
    wait_for(partial(is_ready, m), "the model", 60)
    latest = m.manager.latest("default")
    assert latest is not None
    assert latest.settings.max_batch == 2


def build_up_to_two(backend: Backend, model: ModelConfig, settings: SessionSettings, progress: Progress) -> None:
    if settings.max_batch > 2:
        error: EngineError = GpuMemoryError("too little")
        raise error
    build(backend, model, settings, progress)
