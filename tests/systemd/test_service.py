"""The life of a box: installed, started, disturbed, upgraded and cleaned, on a real systemd with a real broker.

The tests are the steps of that life, in its order.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml

from engines.models import street_onnx
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, has, state_of
from tests.servers.model_server import ModelServer, entry
from tests.servers.mosquitto import HOST, free_port
from tests.servers.subscriber import Subscriber
from tests.systemd.box import Box
from tests.systemd.conftest import EXTRA, PASSWORD
from tests.systemd.installed import CONFIGURATION, configure, detects, files, install, main_pid, restarted

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(300)]

WATCHDOG = "[Service]\nWatchdogSec=4\nRestartSec=0.5\n"
STATUS = re.compile(r"1 of 1 camera streaming, [1-9]\d*\.\d frames/s")


def test_an_extra_that_is_not_there_is_refused(box: Box, wheels: dict[str, Path], before: set[str]) -> None:
    """pip would only warn, and the GPU not be used."""
    status, said = install(box, wheels["good"], wheels["good"].parent, "--extra", "gpuu")
    assert status == 1
    assert said.endswith("there is no extra gpuu; --extra gpu, rtx or none; nothing was changed\n"), said
    assert files(box) - before == {"opt/ospreyd", "opt/ospreyd/versions"}


def test_is_installed_with_an_example_of_a_configuration(box: Box, wheels: dict[str, Path]) -> None:
    status, said = install(box, wheels["good"], wheels["good"].parent, "--extra", EXTRA)
    assert status == 0, said
    assert "then: ospreyd-service model get && " in said
    assert box.must("stat", "--format=%a %U %G", CONFIGURATION) == "640 root ospreyd\n"
    checked = box.run("runuser", "-u", "ospreyd", "--", "ospreyd", "check", CONFIGURATION)
    assert (checked.returncode, "ospreyd-service model get" in checked.stdout + checked.stderr) == (2, True), checked
    assert box.show("ActiveState") == "inactive"
    assert box.must("groups", "ospreyd").split()[-2:] == ["video", "render"]


def test_starts_and_says_how_it_is(box: Box) -> None:
    """`start` returns when the daemon has said that it is ready; the password is a credential of systemd."""
    box.file("/etc/ospreyd/credentials/broker").write_text(PASSWORD)
    box.file("/etc/systemd/system/ospreyd.service.d").mkdir()
    box.file("/etc/systemd/system/ospreyd.service.d/test.conf").write_text(WATCHDOG)
    configure(box, "front")
    box.must("systemctl", "daemon-reload")
    box.must("systemctl", "enable", "--now", "ospreyd")
    assert box.show("ActiveState") == "active"
    assert box.must("stat", "--format=%U", f"/proc/{main_pid(box)}") == "ospreyd\n"
    wait_for(lambda: STATUS.fullmatch(box.show("StatusText")), f"a status as documented, not {box.show('StatusText')}")


def test_publishes_detections(subscriber: Subscriber) -> None:
    subscriber.wait(partial(has, 5, "front"), "detections", 30)


def test_the_doctor_sees_what_the_service_sees(box: Box) -> None:
    """Its credentials, its folder of engines and the journal."""
    done = box.run("ospreyd-service", "doctor", CONFIGURATION, "--bundle", "/tmp/support.tar.gz", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["broker"]["connected"] is True
    assert said["cache"]["folder"] == "/var/cache/ospreyd"
    assert said["metrics"]["problem"] is None, "the port is the service's own"
    outbox = json.loads(box.must("ospreyd-service", "outbox", "status", CONFIGURATION, "--json"))
    assert outbox["path"] == "/var/lib/ospreyd/outbox-box.db"
    journal = box.must("tar", "-xzOf", "/tmp/support.tar.gz", "ospreyd-support/journal.txt")
    assert "camera front: streaming" in journal
    assert PASSWORD not in box.must("zcat", "/tmp/support.tar.gz")
    box.must("rm", "/tmp/support.tar.gz")


def test_gets_a_model_and_runs_with_it(box: Box, subscriber: Subscriber) -> None:
    """From a mirror that the service's variables name; and from where root has put it, as without internet."""
    data = street_onnx().read_bytes()
    get = "model", "get", "--catalogue", "/films/catalogue.yaml"
    with ModelServer(data) as mirror:
        told = {"url": "https://localhost:1/x.onnx", "file": "x.onnx"}
        pinned = {name: entry(mirror, data, **told) for name in ("gate", "door")}
        box.file("/films/catalogue.yaml").write_text(yaml.safe_dump(pinned))
        url = f"OSPREYD_MODEL_MIRROR={mirror.url.replace('localhost', HOST)}"
        box.file("/etc/ospreyd/ospreyd.env").write_text(f"{url}\n")
        assert "it serves where no model is named" in box.must("ospreyd-service", *get, "gate")
        box.must("env", url, "ospreyd", *get, "door", "--to", "/films/stick")
    box.must("ospreyd-service", *get, "door", "--from", "/films/stick")
    box.file("/etc/ospreyd/ospreyd.env").unlink()
    assert box.must("stat", "--format=%a %U", "/var/lib/ospreyd/models") == "700 ospreyd\n"
    refused = box.run("env", "STATE_DIRECTORY=/var/lib/ospreyd", "ospreyd", "model", "remove", "door")
    assert (refused.returncode, "belongs to ospreyd; run this as that user" in refused.stderr) == (1, True), refused
    for models, name in ({"default": "door"}, "door"), ({"default": {}}, "gate"):
        configure(box, "front", models=models)
        assert f"model default: {name}, installed" in box.must("ospreyd-service", "check", CONFIGURATION)
        box.must("systemctl", "restart", "ospreyd")
        detects(subscriber)
    box.must("ospreyd-service", "model", "remove", "gate")
    refused = box.run("ospreyd-service", "check", CONFIGURATION)
    said = "no detection model is installed; run: sudo ospreyd-service model get"
    assert (refused.returncode, said in refused.stderr) == (2, True), refused
    configure(box, "front")
    box.must("systemctl", "restart", "ospreyd")


def test_reload_adds_a_camera_without_a_restart(box: Box, subscriber: Subscriber) -> None:
    pid = main_pid(box)
    configure(box, "front", "back")
    box.must("systemctl", "reload", "ospreyd")
    subscriber.wait(lambda m: state_of(m, "back")["state"] == "streaming", "the new camera", 30)
    detects(subscriber, "back")
    assert main_pid(box) == pid


def test_a_mistake_on_reload_is_told_and_the_old_configuration_goes_on(box: Box, subscriber: Subscriber) -> None:
    pid = main_pid(box)
    configure(box, "front", "back", inferense={})
    refused = box.run("systemctl", "reload", "ospreyd")
    configure(box, "front")
    assert refused.returncode != 0
    assert f"{CONFIGURATION}:" in box.journal()
    assert "inferense" in box.journal()
    assert box.show("ActiveState") == "active"
    detects(subscriber)
    assert main_pid(box) == pid


def test_a_daemon_that_hangs_is_restarted(box: Box, subscriber: Subscriber) -> None:
    pid = main_pid(box)
    box.must("sh", "-c", f"kill -STOP {pid}")
    wait_for(lambda: restarted(box, pid), "the watchdog", 30)
    assert "Watchdog timeout" in box.journal()
    detects(subscriber)


def test_a_daemon_that_is_killed_is_restarted(box: Box, subscriber: Subscriber) -> None:
    pid = main_pid(box)
    box.must("sh", "-c", f"kill -KILL {pid}")
    wait_for(lambda: restarted(box, pid), "the restart", 30)
    detects(subscriber)


def test_stops_within_five_seconds(box: Box, subscriber: Subscriber) -> None:
    began = time.monotonic()
    box.must("systemctl", "stop", "ospreyd")
    assert time.monotonic() - began < 5
    assert box.show("Result") == "success"
    subscriber.wait_for(f"{TOPICS}/status", b"offline", after=began)


def test_a_mistake_on_start_is_told_once_and_not_tried_again(box: Box) -> None:
    configure(box, "front", cameraz={})
    assert box.run("systemctl", "start", "ospreyd").returncode != 0
    assert box.show("ExecMainStatus") == "2"
    assert box.show("ActiveState") == "failed"
    lines = [line for line in box.journal().splitlines() if line.startswith(f"{CONFIGURATION}:")]
    assert [line for line in lines if "cameraz" in line and "must" not in line.split(":")[0]]
    assert "Traceback" not in box.journal()
    configure(box, "front")
    box.must("systemctl", "start", "ospreyd")


@pytest.mark.parametrize("what", ["fussy", "broken"])
def test_an_upgrade_that_does_not_work_is_taken_back(
    box: Box, wheels: dict[str, Path], what: str, subscriber: Subscriber
) -> None:
    """One that does not accept the configuration, and one that does not start."""
    pid, version = main_pid(box), box.must("readlink", "/opt/ospreyd/current")
    status, said = install(box, wheels[what], wheels["good"].parent)
    assert status == 1
    expected = {
        "fussy": "does not accept the configuration of ospreyd.service; nothing was changed",
        "broken": "does not start (its last lines are above); the old one is back",
    }[what]
    assert said.rstrip().endswith(expected), said
    assert box.must("readlink", "/opt/ospreyd/current") == version
    assert box.must("ls", "/opt/ospreyd/versions").count("\n") == 1
    assert (main_pid(box) == pid) is (what == "fussy")
    detects(subscriber)


def test_an_upgrade_that_is_interrupted_is_taken_back(
    box: Box, wheels: dict[str, Path], subscriber: Subscriber
) -> None:
    """While the new version starts, as by Ctrl-C or an SSH connection that breaks off."""
    version = box.must("readlink", "/opt/ospreyd/current")
    wheel = Path("/wheels") / wheels["stuck"].relative_to(wheels["good"].parent)
    script = f"echo $$ >/run/installing; exec /source/systemd/install.sh --wheels /dependencies {wheel}"
    with ThreadPoolExecutor(1) as beside:
        installing = beside.submit(box.run, "setsid", "sh", "-c", script)
        wait_for(lambda: box.must("readlink", "/opt/ospreyd/current") != version, "the new version", 90)
        wait_for(lambda: box.show("ActiveState") == "activating", "its start", 30)
        box.must("sh", "-c", "kill -HUP -$(cat /run/installing)")
        assert installing.result(60).returncode != 0
    box.must("rm", "/run/installing")
    assert box.must("readlink", "/opt/ospreyd/current") == version
    assert box.must("ls", "/opt/ospreyd/versions").count("\n") == 1
    assert box.show("ActiveState") == "active"
    detects(subscriber)


def test_an_upgrade_keeps_the_configuration_and_the_extra(
    box: Box, wheels: dict[str, Path], subscriber: Subscriber
) -> None:
    """The file may be another than the unit says by itself."""
    pid, configuration = main_pid(box), box.file(CONFIGURATION).read_text()
    elsewhere, edit = "/etc/ospreyd/gate.yaml", box.file("/etc/systemd/system/ospreyd.service.d/test.conf")
    box.must("mv", CONFIGURATION, elsewhere)
    edit.write_text(f"{WATCHDOG}Environment=OSPREYD_CONFIG={elsewhere}\n")
    box.must("systemctl", "daemon-reload")
    status, said = install(box, wheels["newer"], wheels["good"].parent)
    assert status == 0, said
    assert box.must("runuser", "-u", "ospreyd", "--", "ospreyd", "--version") == "ospreyd 99.0\n"
    assert restarted(box, pid)
    assert box.file(elsewhere).read_text() == configuration
    assert box.must("ls", "/opt/ospreyd/versions").count("\n") == 2, "this version and the one before"
    box.must("/opt/ospreyd/current/bin/python", "-c", "import pycocotools")
    detects(subscriber)
    box.must("mv", elsewhere, CONFIGURATION)


def test_another_runs_beside_it(box: Box, subscriber: Subscriber) -> None:
    """An instance, with a configuration, variables and a state of its own; the next test removes it while it runs."""
    metrics = {"metrics": {"port": free_port()}}
    configure(box, "front", file="/etc/ospreyd/second.yaml", device="${NAME}", service=metrics)
    box.file("/etc/ospreyd/second.env").write_text("NAME=number-two\n")
    box.must("systemctl", "enable", "--now", "ospreyd@second")
    subscriber.wait_for("ospreyd/number-two/front/detections", timeout=30)
    assert box.must("stat", "--format=%U", "/var/lib/ospreyd/second") == "ospreyd\n"
    assert "/var/lib/ospreyd/second/" in box.must(
        *("env", "OSPREYD_INSTANCE=second", "ospreyd-service", "outbox", "status", "/etc/ospreyd/second.yaml")
    )
    detects(subscriber)


def test_one_may_be_enabled_that_has_never_run(box: Box) -> None:
    """The next test removes that too."""
    box.must("systemctl", "enable", "ospreyd@third")


def test_uninstalling_leaves_what_the_user_made_and_purging_nothing(box: Box, before: set[str]) -> None:
    said = box.must("/source/systemd/uninstall.sh")
    assert "/etc/ospreyd\n" in said
    assert box.must("find", "/proc", "-maxdepth", "1", "-user", "ospreyd") == "", "a process is left"
    assert not box.file("/opt/ospreyd").exists()
    assert box.show("LoadState") == "not-found"
    assert box.file(CONFIGURATION).exists()
    box.must("/source/systemd/uninstall.sh", "--purge")
    assert sorted(files(box) - before) == []
    assert box.run("id", "ospreyd").returncode != 0
