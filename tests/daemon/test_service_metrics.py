"""Metrics as Prometheus gets them, and the server that gives them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.config.service import Metrics
from daemon.records import CameraState, CameraStatus, Drop, ModelState, ModelStatus, OutboxStatus
from daemon.service.gpu_readings import Gpu, read_gpus
from daemon.service.http_server import HttpServer
from daemon.service.metrics import DaemonMetrics, registry_of
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import CameraCount, DaemonCount, Stats
from tests.conftest import missing, wait_for
from tests.daemon.publishing import INFO, UNREACHABLE, config
from tests.servers.mosquitto import free_port


class Served:
    """A daemon's observers without a daemon: what they get comes from the test."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.stats = Stats()
        self.registry = StatusRegistry(config(1), INFO, self.stats, lambda: True)
        self.service = Watchdog(self.registry, self.failures.append)
        self.outbox = OutboxStatus(waiting=7, dropped=2, size=1, oldest=1.5 / 3600)
        metrics = DaemonMetrics(self.registry, self.service, {"batch": lambda: 3}, lambda: self.outbox)
        self.port = free_port()
        self.server = HttpServer(Metrics(port=self.port), self.service, registry_of(metrics), self.failures.append)

    def get(self, path: str) -> tuple[int, str]:
        """Status and content."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[tuple[str, ...], float]:
        """Every sample by its name and the values of its labels in the order of their names."""
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
        }


@pytest.fixture
def served() -> Iterator[Served]:
    running = Served()
    running.server.start()
    yield running
    running.server.stop()
    assert running.server.join(20)
    assert not running.failures


def count_something(served: Served) -> None:
    stats = served.stats
    stats.count(CameraCount.CONNECTIONS, "front")
    for _ in range(5):
        stats.count(CameraCount.CAPTURED, "front")
    stats.dropped("front", Drop.REPLACED)
    stats.processed("front", queue=0.004, detector=0.3)
    stats.processed("front", queue=0.005, detector=9.0)
    stats.count_daemon(DaemonCount.BATCHES)
    stats.published([("front", 0.02)])
    stats.count_daemon(DaemonCount.RESULTS_FINISHED, 1)
    stats.count_daemon(DaemonCount.NETWORK_FULL)
    stats.count_daemon(DaemonCount.TOO_LARGE)
    stats.count(CameraCount.SKIPPED, "front")
    served.registry.camera_status(CameraStatus("front", CameraState.STREAMING, None, "", 0.0, 0.0))
    served.registry.camera_status(UNREACHABLE)


def test_what_was_counted_is_what_is_scraped(served: Served) -> None:
    count_something(served)
    expected = {
        ("ospreyd_frames_captured_total", "front"): 5,
        ("ospreyd_frames_captured_total", "yard"): 0,
        ("ospreyd_frames_processed_total", "front"): 2,
        ("ospreyd_frames_published_total", "front"): 1,
        ("ospreyd_frames_skipped_total", "front"): 1,
        ("ospreyd_frames_dropped_total", "front", "replaced"): 1,
        ("ospreyd_frames_dropped_total", "front", "too-old"): 0,
        ("ospreyd_camera_connections_total", "front"): 1,
        ("ospreyd_camera_state", "front", "streaming"): 1,
        ("ospreyd_camera_state", "front", "offline"): 0,
        ("ospreyd_camera_state", "yard", "offline"): 1,
        ("ospreyd_latency_seconds_bucket", "0.005", "queue"): 2,
        ("ospreyd_latency_seconds_bucket", "0.0025", "queue"): 0,
        ("ospreyd_latency_seconds_bucket", "5.0", "detector"): 1,
        ("ospreyd_latency_seconds_bucket", "+Inf", "detector"): 2,
        ("ospreyd_latency_seconds_count", "detector"): 2,
        ("ospreyd_latency_seconds_sum", "detector"): 9.3,
        ("ospreyd_latency_seconds_count", "total"): 1,
        ("ospreyd_batches_total",): 1,
        ("ospreyd_model_state", "default", "building"): 1,
        ("ospreyd_build_info", "onnxruntime", "0.1.0"): 1,
        ("ospreyd_mqtt_connected",): 1,
        ("ospreyd_mqtt_network_full_total",): 1,
        ("ospreyd_mqtt_too_large_total",): 1,
        ("ospreyd_queue_frames", "batch"): 3,
        ("ospreyd_outbox_messages",): 7,
        ("ospreyd_outbox_oldest_seconds",): 1.5,
        ("ospreyd_outbox_dropped_total",): 2,
    }
    samples = served.samples()
    assert {key: samples.get(key) for key in expected} == expected
    assert samples["process_resident_memory_bytes",] > 1e6
    assert samples["process_open_fds",] > 3
    assert samples["ospreyd_threads",] >= 2


def test_what_is_left_out_on_purpose_is_not_owed_by_publishing(served: Served) -> None:
    """Else the watchdog would end a daemon with `every: change` before a still scene."""
    count_something(served)
    counted = served.registry.snapshot().health_counters()
    assert counted.processed["front"] == counted.published - 1 == 1


def test_a_report_over_mqtt_takes_nothing_from_the_totals(served: Served) -> None:
    count_something(served)
    served.stats.report(("front",))
    assert served.samples()["ospreyd_batches_total",] == 1


def test_builds_are_counted_by_their_outcome(served: Served) -> None:
    def say(state: ModelState, progress: int | None = None, detail: str = "") -> None:
        model = replace(INFO.models["default"], status=ModelStatus(state, progress, detail))
        served.registry.info(replace(INFO, models={"default": model}))

    def waits_and_loads() -> None:
        say(ModelState.BUILDING, 0, "waiting")
        say(ModelState.BUILDING, 100, "loading")
        say(ModelState.READY)

    waits_and_loads()  # it was there already
    say(ModelState.BUILDING, 30, "detector")
    waits_and_loads()  # cancelled by a reload, which takes back what asked for a build
    assert served.samples()["ospreyd_engine_builds_total", "default", "built"] == 0
    for end in (ModelState.READY, ModelState.FAILED):
        say(ModelState.BUILDING, 0, "starting")
        say(ModelState.BUILDING, 60, "detector")
        say(ModelState.BUILDING, 100, "loading") if end is ModelState.READY else None
        say(end)
    samples = served.samples()
    assert samples["ospreyd_engine_builds_total", "default", "built"] == 1
    assert samples["ospreyd_engine_builds_total", "default", "failed"] == 1


def test_a_camera_that_is_no_longer_configured_is_no_longer_told(served: Served) -> None:
    count_something(served)
    settings = config(1)
    only_yard = settings.model_copy(update={"cameras": {"yard": settings.cameras["yard"]}})
    served.registry.use(only_yard, INFO)
    assert not [key for key in served.samples() if "front" in key]


def test_the_names_and_units_are_those_of_prometheus(served: Served) -> None:
    count_something(served)
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool", "apt-get install prometheus")
    checked = subprocess.run(
        [str(promtool), "check", "metrics"],
        check=False,
        input=served.get("/metrics")[1],
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_health_and_readiness_are_said_with_a_reason(served: Served) -> None:
    assert served.get("/readyz") == (
        503,
        '{"ok": false, "reason": "no camera is known to work yet", "device": "gate"}\n',
    )
    served.service.start()
    count_something(served)
    wait_for(lambda: served.get("/readyz")[0] == 200, "readiness")
    assert json.loads(served.get("/healthz")[1]) == {
        "ok": True,
        "reason": "cameras stream, and wait for their models",
        "device": "gate",
    }
    served.service.stop()
    assert served.service.join(20)


def test_frames_that_do_not_move_are_no_health(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.service.watchdog._WATCHDOG", 0.4)
    served.service = Watchdog(served.registry, served.failures.append)
    metrics = registry_of(DaemonMetrics(served.registry, served.service, {}))
    served.port = free_port()
    server = HttpServer(Metrics(port=served.port), served.service, metrics, served.failures.append)
    server.start()
    served.service.start()
    served.stats.processed("front")
    wait_for(lambda: served.service.ready, "the first look")
    served.stats.processed("front")
    wait_for(lambda: served.get("/healthz")[0] == 503, "ill health")
    assert "analysis has done nothing" in json.loads(served.get("/healthz")[1])["reason"]
    assert served.samples()["ospreyd_healthy",] == 0
    for stage in (DaemonCount.RESULTS_ANALYSED, DaemonCount.RESULTS_FINISHED):
        served.stats.count_daemon(stage)
    wait_for(lambda: served.get("/healthz")[0] == 200, "health")
    served.service.stop()
    server.stop()
    assert served.service.join(20)
    assert server.join(20)


def test_a_port_that_is_taken_costs_a_warning_and_no_more(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    registry = registry_of(DaemonMetrics(served.registry, served.service, {}))
    server = HttpServer(Metrics(port=served.port), served.service, registry, served.failures.append)
    server.start()
    server.stop()
    assert server.join(0)
    assert server.port is None
    (said,) = caplog.messages
    assert said == (
        f"no metrics: 127.0.0.1 port {served.port} cannot be listened on (Address already in use); "
        "set another service.metrics.port, or service.metrics: null"
    )


def test_clients_that_say_nothing_are_cut_off_and_lock_nobody_out_for_long(served: Served) -> None:
    with ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", served.port))) for _ in range(12)]
        for client in silent:
            client.settimeout(20)
            assert client.recv(1) == b""
    assert served.get("/metrics")[0] == 200


def test_a_stop_waits_for_no_client_and_frees_the_port(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)):
        served.server.stop()
        assert served.server.join(20)
        socket.create_server(("127.0.0.1", served.port)).close()


@pytest.mark.timeout(30)
def test_a_server_that_never_served_can_be_stopped(served: Served) -> None:
    """As where the start of the daemon fails half-way."""
    registry = registry_of(DaemonMetrics(served.registry, served.service, {}))
    server = HttpServer(Metrics(port=free_port()), served.service, registry, served.failures.append)
    server.stop()
    assert server.join(0)


def test_another_path_is_not_found(served: Served) -> None:
    assert served.get("/")[0] == 404


def test_a_jetson_says_how_busy_and_hot_its_gpu_is(tmp_path: Path) -> None:
    load, zones = tmp_path / "sys/devices/platform/gpu.0", tmp_path / "sys/class/thermal"
    for zone, kind, value in (("thermal_zone0", "cpu-thermal", "50000"), ("thermal_zone1", "gpu-thermal", "46500")):
        (zones / zone).mkdir(parents=True)
        (zones / zone / "type").write_text(f"{kind}\n")
        (zones / zone / "temp").write_text(f"{value}\n")
    load.mkdir(parents=True)
    (load / "load").write_text("375\n")
    assert read_gpus(tmp_path) == [Gpu("0: Jetson", 0.375, None, None, 46.5)]
