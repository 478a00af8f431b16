"""Outputs that are closed, full or stuck: the daemon runs, what cannot be written is counted, and states come again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.subscriber import Subscriber

LOGGING = """
import logging, sys, time
from daemon.system import logs
from daemon.system.log_states import state_of
logs.log_to_stderr()
log = logging.getLogger("ospreyd")
"""


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(Shot("street", 416, 256, 10.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 2.0).file


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_the_daemon_runs_without_its_log(
    redirection: str, street: Path, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path, state_directory: Path
) -> None:
    file, port = tmp_path / "box.yaml", free_port()
    cameras = {"front": {"source": str(street), "loop": True, "fps": 5}}
    file.write_text(yaml.safe_dump(box(broker, cameras, service={"metrics": {"port": port}})))
    shell = ["sh", "-c", f'exec "$0" -m daemon run "$1" {redirection}', sys.executable, str(file)]
    process = subprocess.Popen(shell, text=True)
    try:
        subscriber.wait_for(f"{TOPICS}/front/detections", timeout=40)
        numbers = [str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in range(3)]
        assert not [target for target in numbers if str(state_directory) in target or "socket:" in target]
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        (count,) = [float(line.split()[1]) for line in lines if line.startswith("ospreyd_log_lines_lost_")]
        assert (count > 0) is ("full" in redirection)
        assert stop(process) < 10
    finally:
        process.kill()


def test_a_log_that_nobody_reads_holds_nothing_up() -> None:
    program = LOGGING + "began = time.monotonic()\nfor n in range(3000):\n    log.critical('x' * 200)\n"
    program += "assert time.monotonic() - began < 10\nassert logs.lost_lines() > 100, logs.lost_lines()\n"
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", program], stderr=writer)
    os.close(writer)
    assert process.wait(60) == 0
    os.close(reader)


def test_states_come_again_when_the_log_can_be_written(tmp_path: Path) -> None:
    """A pipe is full, then read."""
    program = LOGGING + (
        "from daemon.system import log_states\nlog_states._TOGETHER = 0.2\n"
        "while not logs.lost_lines():\n    log.critical('x' * 200)\n"
        "log.warning('camera a: offline', extra=state_of('camera', 'a'))\nprint(flush=True)\n"
        "input()\ntime.sleep(1)\n"
    )
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer, text=True
    )
    os.close(writer)
    with os.fdopen(reader) as log, process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "\n"
        process.stdin.write("\n")
        process.stdin.flush()
        lines = [line.partition("WARNING ")[2] for line in log.read().splitlines() if "xxx" not in line]
        assert process.wait(60) == 0
    assert lines == ["2 lines of the log could not be written", "camera a: offline"]


@pytest.mark.parametrize("arguments", [["check", "FILE"], ["--version"], ["schema", "config"], ["run", "--help"]])
def test_an_output_that_is_full_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(
        "device: box\nmqtt: {host: localhost}\nmodels: {default: street}\ncameras: {a: {source: rtsp://a/1}}\n"
    )
    command = [sys.executable, "-m", "daemon", *(str(file) if each == "FILE" else each for each in arguments)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "ospreyd: standard output cannot be written: No space left on device\n"
    assert done.returncode == 1


def test_a_mistake_is_exit_code_2_also_where_nobody_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "daemon", "check", "none.yaml"], stdout=full, stderr=full, check=False
        )
    assert done.returncode == 2


def test_a_broker_that_is_back_is_the_last_word(broker: Mosquitto, tmp_path: Path) -> None:
    with daemon(tmp_path, box(broker, {"a": {"source": "rtsp://127.0.0.1:1/a", "enabled": False}})) as process:
        for _ in range(2):
            wait_for(lambda: last_word(tmp_path).startswith("connected to the broker"), "the connection in the log", 40)
            broker.kill()
            wait_for(lambda: last_word(tmp_path).startswith("the broker"), "the loss in the log")
            broker.start()
        wait_for(lambda: last_word(tmp_path).startswith("connected to the broker"), "the recovery in the log", 40)
        assert stop(process, signal.SIGINT) < 10


def last_word(folder: Path) -> str:
    """What the log says of the broker last."""
    lines = [line.split(maxsplit=3)[3] for line in (folder / "log").read_text().splitlines() if "broker" in line]
    return lines[-1] if lines else ""
