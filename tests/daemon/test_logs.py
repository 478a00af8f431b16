"""The log as a person, a program and the journal read it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.running import box, daemon, state_of, stop
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.subscriber import Subscriber

SECRET = "hunter2"
PROGRAM = f"""
import logging
from daemon.system import logs
logs.log_to_stderr()
log = logging.getLogger("ospreyd.capture")
log.info("camera %s: streaming", "front")
log.warning("camera %s: %s", "front", "rtsp://viewer:{SECRET}@camera.local/1 cannot be reached")
try:
    raise OSError("http://u:{SECRET}@h/x?password={SECRET} broke")
except OSError:
    log.exception("model %s: failed", "default")
log.critical("ended")
log.debug("nobody sees this")
"""


def log_of(program: str, *, journal: bool = False, log_format: str | None = None) -> list[str]:
    """The lines of a process; `journal`: its standard error is what systemd would have connected to the journal."""
    reader, writer = os.pipe()
    status = os.fstat(writer)
    environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino if journal else 0}"}
    if log_format:
        environment["OSPREYD_LOG_FORMAT"] = log_format
    with os.fdopen(reader) as output:
        process = subprocess.Popen([sys.executable, "-c", program], stderr=writer, env=environment)
        os.close(writer)
        lines = output.read().splitlines()
    assert process.wait(60) == 0
    return lines


def test_a_person_reads_time_level_and_sentence() -> None:
    lines = log_of(PROGRAM)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    camera front: streaming", lines[0])
    assert lines[1].endswith(" WARNING camera front: rtsp://camera.local/1 cannot be reached")
    assert "Traceback (most recent call last):" in lines
    assert not [line for line in lines if SECRET in line]


def test_the_journal_gets_a_priority_in_every_line_and_no_time() -> None:
    lines = log_of(PROGRAM, journal=True)
    assert lines[:3] == [
        "<6>camera front: streaming",
        "<4>camera front: rtsp://camera.local/1 cannot be reached",
        "<3>model default: failed",
    ]
    assert all(line.startswith("<3>") for line in lines[2:-1])
    assert lines[-1] == "<2>ended"
    assert not [line for line in lines if SECRET in line]


@pytest.mark.parametrize("journal", [False, True])
def test_a_program_reads_one_object_a_line(journal: bool) -> None:
    lines = [re.sub("^<.>", "", line) for line in log_of(PROGRAM, journal=journal, log_format="json")]
    first, second, third, last = map(json.loads, lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "info",
        "logger": "ospreyd.capture",
        "camera": "front",
        "message": "camera front: streaming",
    }
    assert second["message"] == "camera front: rtsp://camera.local/1 cannot be reached"
    assert third["model"] == "default"
    assert third["exception"].endswith("OSError: http://h/x?*** broke")
    assert last["level"] == "critical"


def test_a_line_that_repeats_is_written_once_and_then_with_its_count() -> None:
    program = """
import logging, time
from daemon.system import logs, repetition
repetition._REPEATED_WITHIN = 0.5
logs.log_to_stderr()
log = logging.getLogger("ospreyd")
for _ in range(5):
    log.warning("the network is %s", "full")
log.warning("another")
time.sleep(0.6)
log.warning("the network is full")
log.warning("another")
"""
    assert log_of(program, journal=True) == [
        "<4>the network is full",
        "<4>another",
        "<4>the network is full (repeated 4 times in the last 1 s)",
        "<4>another",
    ]


def test_a_line_with_a_count_still_says_what_it_is_about() -> None:
    program = """
import logging, time
from daemon.system import logs, repetition
repetition._REPEATED_WITHIN = 0.5
logs.log_to_stderr()
log = logging.getLogger("ospreyd")
for pause in (0, 0.6, 0):
    log.warning("camera %s: 100 %% away", "front")
    time.sleep(pause)
"""
    first, last = map(json.loads, log_of(program, log_format="json"))
    assert first["message"] == "camera front: 100 % away"
    assert last["message"] == "camera front: 100 % away (repeated 1 times in the last 1 s)"
    assert last["camera"] == "front"


def test_a_flood_of_different_lines_is_cut_off_and_counted_and_takes_no_others_along() -> None:
    program = """
import logging, time
from daemon.system import logs, repetition
repetition._REPEATED_WITHIN, repetition._DIFFERENT = 2.0, 3
logs.log_to_stderr()
log = logging.getLogger("ospreyd")
def refuse(command):
    log.warning("%s: refused", command)
for number in range(2000):
    refuse(number)
log.warning("another")
time.sleep(2.1)
refuse("a")
refuse("b")
"""
    assert log_of(program, journal=True) == [
        "<4>0: refused",
        "<4>1: refused",
        "<4>2: refused",
        "<4>another",
        "<4>a: refused (1997 similar lines suppressed)",
        "<4>b: refused",
    ]


def test_a_mistake_that_ends_a_command_is_an_error_in_the_journal(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("device: a\nmqtt: {}\ncamras: {}\n")
    program = f"from daemon.cli.main import run_cli; run_cli(['run', {str(tmp_path / 'x.yaml')!r}])"
    lines = log_of(program, journal=True)
    assert len(lines) >= 2
    assert all(line.startswith(f"<3>{tmp_path}/x.yaml:") for line in lines)


def test_a_daemon_writes_no_secret_whatever_fails(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSPREYD_LOG_FORMAT", "json")
    url = f"rtsp://viewer:{SECRET}@127.0.0.1:{free_port()}/x?token={SECRET}"
    pipeline = f"rtspsrc location={url} user-pw={SECRET} ! nonsense ! appsink"
    document = box(broker, {"url": {"source": url}, "pipeline": {"source": pipeline}}, service={"metrics": None})
    document["mqtt"] |= {"username": "box", "password": SECRET}
    with daemon(tmp_path, document) as process:
        subscriber.wait(
            lambda messages: all(state_of(messages, camera)["state"] == "offline" for camera in ("url", "pipeline")),
            "both offline",
            60,
        )
        stop(process)
    log = (tmp_path / "log").read_text()
    assert SECRET not in log
    said = [json.loads(line) for line in log.splitlines()]
    offline = [line["message"] for line in said if line.get("camera") == "url" and line["level"] == "warning"]
    assert len(offline) == 1
    assert offline[0].startswith("camera url: offline (")
