"""Many cameras: starting takes time by their number, and those that get no file descriptor harm no others."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber


def processor_seconds(pid: int) -> float:
    """Of a process that runs, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(broker: Mosquitto, folder: Path, count: int) -> tuple[float, float]:
    """Processor seconds that a daemon with so many disabled cameras takes to start and to stop."""
    cameras = {f"c{number}": {"source": "rtsp://127.0.0.1:1/a", "enabled": False} for number in range(count)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with daemon(folder, box(broker, cameras, service={"metrics": None})) as process:
        wait_for(lambda: "running: " in (folder / "log").read_text(), "the start", 120)
        start = processor_seconds(process.pid)
        stop(process)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime - start


@pytest.mark.timeout(240)
def test_two_thousand_disabled_cameras_start_and_stop_in_seconds(broker: Mosquitto, tmp_path: Path) -> None:
    """In processor time, by which others on the machine do not count: 4.0 s and 0.7 s, of one camera 1.4 s and 0.4 s.

    It is minutes where one step looks at all cameras for each.
    """
    (start, stopping), (many_start, many_stopping) = (cost(broker, tmp_path, count) for count in (1, 2000))
    assert many_start < 6 * start
    assert many_stopping < 6 * (stopping + 0.1)


def test_cameras_that_get_a_file_descriptor_go_on_where_others_do_not(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    street = film(Shot("street", 416, 256, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    names = [f"c{number}" for number in range(40)]
    cameras = {name: {"source": str(street.file), "loop": True, "fps": 1} for name in names}
    file, log = tmp_path / "box.yaml", tmp_path / "log"
    file.write_text(yaml.safe_dump(box(broker, cameras)))
    limited = 'ulimit -n 48; exec "$0" -m daemon run "$1"'
    with log.open("w") as output:
        process = subprocess.Popen(["sh", "-c", limited, sys.executable, str(file)], stderr=output, text=True)
    try:
        subscriber.wait(
            lambda messages: all(state_of(messages, name)["state"] in {"streaming", "offline"} for name in names),
            "what becomes of each",
            60,
        )
        seen = {name: state_of(subscriber.messages(), name) for name in names}
        streaming = [name for name, state in seen.items() if state["state"] == "streaming"]
        refused = [state for state in seen.values() if state["reason"] == "no-resources"]
        assert streaming
        assert refused
        assert all("too few file descriptors: " in state["detail"] for state in refused)
        subscriber.wait_for(f"{TOPICS}/{streaming[0]}/detections", after=time.monotonic(), timeout=40)
        assert process.poll() is None
        assert "Traceback" not in log.read_text()
        assert stop(process) < 10
    finally:
        process.kill()
        process.wait()


def test_too_few_to_start_at_all_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(
        "device: box\nmqtt: {host: localhost}\nmodels: {default: street}\ncameras: {a: {source: rtsp://127.0.0.1:1/a}}\n"
    )
    limited = 'ulimit -n 7; exec "$0" -m daemon run "$1"'
    done = subprocess.run(["sh", "-c", limited, sys.executable, file], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "too few file descriptors: " in done.stderr
    assert "Traceback" not in done.stderr
