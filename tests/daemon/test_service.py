"""What systemd is notified of: by the daemon as a process, and by its real stages with one that hangs."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.analysis.picture_requests import PictureOutputs
from daemon.analysis.stage import AnalysisStage, Outputs
from daemon.capture.camera import CameraThread
from daemon.config.schema import Config
from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.worker import InferenceWorker, OpenModel
from daemon.publish.publisher import Publisher
from daemon.records import ModelState, ModelStatus
from daemon.service.sdnotify import Notifier
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import DaemonCount, Stats
from daemon.system.credits import Credits
from engines.pictures import Pixels
from engines.records import BatchDetections, Detections, Handle
from tests.conftest import wait_for
from tests.daemon.capturing import pictures, write_video
from tests.daemon.manager import WATCHDOG, Manager
from tests.daemon.publishing import INFO, config
from tests.daemon.running import box, daemon, stop
from tests.servers.mosquitto import Mosquitto, free_port

QUIET = {"metrics": None}


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """For this process and those that it starts."""
    made = Manager(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of 20 small pictures."""
    return write_video(tmp_path_factory.mktemp("film") / "film.avi", pictures(20, 160, 120), fps=20.0)


def document(broker: Mosquitto, cameras: dict[str, Any]) -> dict[str, Any]:
    return box(broker, cameras, inference={"backend": "onnxruntime", "threads": 1}, service=QUIET)


def test_a_daemon_whose_frames_move(broker: Mosquitto, manager: Manager, film: Path, tmp_path: Path) -> None:
    cameras = {"film": {"source": str(film), "loop": True}, "off": {"source": str(film), "enabled": False}}
    with daemon(tmp_path, document(broker, cameras)) as process:
        manager.wait_for("READY=1")
        manager.wait_for("STATUS=1 of 2 cameras streaming, ")
        manager.wait_for("WATCHDOG=1")
        assert manager.is_fed_for(2 * WATCHDOG)
        stop(process)
    assert manager.said()[-1] == "STOPPING=1"
    assert manager.said().count("READY=1") == 1
    assert len([message for message in manager.said() if message.startswith("STATUS=")]) <= 5


def test_a_daemon_that_the_watchdog_ends_says_where_its_threads_were(
    broker: Mosquitto, manager: Manager, film: Path, tmp_path: Path
) -> None:
    with daemon(tmp_path, document(broker, {"film": {"source": str(film), "loop": True}})) as process:
        manager.wait_for("READY=1")
        process.send_signal(signal.SIGABRT)  # as systemd does
        assert process.wait(20) == -signal.SIGABRT
    log = (tmp_path / "log").read_text()
    for place in ("capture/camera.py", "daemon/inference/worker.py", "publish/frame_sender.py", "daemon/app/app.py"):
        assert re.search(rf'File ".*{place}", line \d+ in ', log)


def test_nothing_that_is_merely_away_starves_the_watchdog(
    broker: Mosquitto, manager: Manager, film: Path, tmp_path: Path
) -> None:
    """Neither a broker that is gone, nor cameras that are, nor one that hangs where nothing can interrupt it."""
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)
    broker.kill()
    away = {"source": f"rtsp://127.0.0.1:{free_port()}/x", "open_timeout": 1}
    cameras = {"away": away, "hangs": {"source": str(pipe), "open_timeout": 0.5}}
    with daemon(tmp_path, document(broker, cameras)) as process:
        manager.wait_for("READY=1")
        manager.wait_for("STATUS=0 of 2 cameras streaming, 0.0 frames/s; no broker")
        assert manager.is_fed_for(3 * WATCHDOG)
        process.kill()


def test_a_reload_before_the_start_is_over_says_nothing_of_it(
    broker: Mosquitto, manager: Manager, tmp_path: Path
) -> None:
    """READY then would be said of a camera that nobody knows anything of; afterwards a reload is reported as one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        cameras = {"silent": {"source": url, "open_timeout": 4}}
        with daemon(tmp_path, document(broker, cameras)) as process:
            manager.wait_for("STATUS=0 of 1 camera streaming")
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: "configuration loaded" in (tmp_path / "log").read_text(), "the reload")
            assert not {"READY=1", "RELOADING=1"} & lines(manager)
            manager.wait_for("READY=1")
            before = time.monotonic()
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: {"READY=1", "RELOADING=1"} <= lines(manager, before), "the reload to be told")
            stop(process)


def test_a_look_that_hangs_holds_up_no_stop(manager: Manager) -> None:
    """systemd knows of it at once, and nothing takes it back when the look comes to its end."""
    looking, goes, failures = threading.Event(), threading.Event(), list[BaseException]()

    def connected() -> bool:
        looking.set()
        return goes.wait(60)

    service = Watchdog(StatusRegistry(config(1), INFO, Stats(), connected), failures.append, Notifier())
    service.start()
    assert looking.wait(20)
    began = time.monotonic()
    service.stop()
    assert not service.join(0.1)
    assert time.monotonic() - began < 5
    manager.wait_for("STOPPING=1")
    goes.set()
    assert service.join(20)
    assert manager.said() == ["STOPPING=1"]
    assert failures == []


def lines(manager: Manager, after: float = 0.0) -> set[str]:
    """All that was said."""
    return {line for message in manager.said(after) for line in message.splitlines()}


def test_files_that_wait_for_a_broker_do_not_starve_the_watchdog(
    broker: Mosquitto, manager: Manager, film: Path, tmp_path: Path
) -> None:
    """Nothing moves then, from the file's reader to the publisher, because nothing of it may be dropped."""
    broker.kill()
    camera = {"source": str(film), "loop": True, "pace": "as-fast-as-possible"}
    with daemon(tmp_path, document(broker, {"film": camera, "live": {"source": str(film), "loop": True}})) as process:
        manager.wait_for("READY=1")
        assert manager.is_fed_for(3 * WATCHDOG)
        process.kill()


class StuckSession:
    """Finds so many things in every picture, until it is told to hang."""

    slots = 2
    max_batch = 4

    def __init__(self, count: int = 1) -> None:
        self.goes = threading.Event()
        self.goes.set()
        boxes = np.tile(np.array([10, 10, 50, 50], np.float32), (count, 1))
        self._found = Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32))
        self._pending: dict[Handle, int] = {}

    def set_confidence(self, confidence: float) -> None:
        pass

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        handle = Handle(len(self._pending))
        self._pending[handle] = len(pictures)
        return handle

    def is_done(self, handle: Handle) -> bool:
        return handle in self._pending

    def collect(self, handle: Handle) -> BatchDetections:
        self.goes.wait()
        return BatchDetections((self._found,) * self._pending[handle], 0.0, 0.0, 0.0)

    def close(self) -> None:
        pass


class StuckStats(Stats):
    """Blocks the stage that counts `what`, when it is told to."""

    def __init__(self, what: DaemonCount = DaemonCount.RESULTS_FINISHED) -> None:
        super().__init__()
        self._what = what
        self.goes = threading.Event()
        self.goes.set()

    def count_daemon(self, what: DaemonCount, times: int = 1) -> None:
        if what is self._what:
            self.goes.wait()
        super().count_daemon(what, times)


@contextmanager
def stages(broker: Mosquitto, film: Path, session: StuckSession, stats: StuckStats) -> Iterator[None]:
    """Every stage of a daemon with the camera `film`, and its service."""
    config = Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "formats": {"deepstream": {}}},
            "models": {"default": {"file": "street"}},
            "cameras": {"film": {"source": str(film), "loop": True}},
        }
    )
    failures: list[BaseException] = []
    fail = failures.append
    publisher = Publisher(config, INFO, stats, fail)
    registry = StatusRegistry(config, INFO, stats, lambda: publisher.link.connected)
    service = Watchdog(registry, fail, Notifier())
    frame_queue = FrameQueue(Batcher({"film": "default"}, 0.01, 1.0), stats)
    none = PictureOutputs(lambda *_: None, lambda *_: None, lambda *_: False, lambda *_: None)
    outputs = Outputs(publisher.results, publisher.event, none, publisher.area)
    analysis = AnalysisStage(config, outputs, stats, Credits(), fail)
    inference = InferenceWorker("cpu:0", frame_queue, analysis.results, stats, fail)
    camera = CameraThread("film", config.cameras["film"], frame_queue.put, registry.camera_status, stats, fail)
    model = INFO.models["default"]
    registry.info(replace(INFO, models={"default": replace(model, status=ModelStatus(ModelState.READY))}))
    inference.use(OpenModel("default", model.labels, session, lambda: 0.5, lambda session: session.close(), fail))
    for part in (publisher, analysis, inference, camera, service):
        part.start()
    try:
        yield
    finally:
        session.goes.set()
        stats.goes.set()
        service.stop()
        assert service.join(10)
        camera.stop()
        frame_queue.close()
        inference.stop()
        assert inference.join(10)
        analysis.stop()
        assert analysis.join(10)
        assert publisher.stop(10)
    assert failures == []


@pytest.mark.parametrize(
    ("what", "counts"),
    [
        ("inference", None),
        ("analysis", DaemonCount.RESULTS_ANALYSED),
        ("mqtt.formats", DaemonCount.RESULTS_FORMATTED),
        ("publishing", DaemonCount.RESULTS_FINISHED),
    ],
)
def test_a_stage_that_hangs_starves_the_watchdog_until_it_goes_on(
    what: str, counts: DaemonCount | None, broker: Mosquitto, manager: Manager, film: Path
) -> None:
    session, stats = StuckSession(), StuckStats() if counts is None else StuckStats(counts)
    with stages(broker, film, session, stats):
        manager.wait_for("READY=1")
        assert manager.is_fed_for(WATCHDOG)
        gate = session.goes if counts is None else stats.goes
        gate.clear()
        manager.wait_for(f"{what} has done nothing for ")
        wait_for(lambda: "WATCHDOG=1" not in manager.said(time.monotonic() - WATCHDOG), "a hungry watchdog")
        gate.set()
        wait_for(lambda: manager.is_fed_for(WATCHDOG), "a watchdog that is fed again")


def test_a_broker_that_no_longer_reads_does_not_starve_the_watchdog(
    broker: Mosquitto, manager: Manager, film: Path
) -> None:
    """The connection lives on until the keepalive ends it; meanwhile the network is full, which is nobody's hang."""
    stats = StuckStats()
    with stages(broker, film, StuckSession(count=2000), stats):
        manager.wait_for("READY=1")
        broker.signal(signal.SIGSTOP)
        wait_for(lambda: stats.totals(())[DaemonCount.NETWORK_FULL], "a network that is full", 60)
        assert manager.is_fed_for(3 * WATCHDOG)
        broker.signal(signal.SIGCONT)
