"""ospreyd as it is installed in a box: installing, configuring, and looking at what runs."""

from __future__ import annotations

import time
from pathlib import Path

import yaml

from tests.daemon.running import TOPICS
from tests.servers.mosquitto import HOST, free_port
from tests.servers.subscriber import Subscriber
from tests.systemd.box import Box

PORT = free_port()
CONFIGURATION = "/etc/ospreyd/ospreyd.yaml"
PLACES = ("etc", "opt", "usr", "var/lib", "var/cache", "home", "root", "run/systemd")
EVERYDAY = ("var/lib/systemd", "var/lib/mosquitto", "etc/mosquitto", "run/systemd", "var/cache/ldconfig", "etc/.pwd")


def files(box: Box) -> set[str]:
    """Of the places where something might be left; without what a running system writes by itself."""
    found = box.must("find", *PLACES, "-xdev").splitlines()
    return {file for file in found if not file.startswith(EVERYDAY)}


def install(box: Box, wheel: Path, folder: Path, *options: str) -> tuple[int, str]:
    """Runs install.sh; its exit status, and all that it said."""
    place = Path("/wheels") / wheel.relative_to(folder)
    done = box.run("/source/systemd/install.sh", "--wheels", "/dependencies", *options, str(place), timeout=400)
    return done.returncode, done.stdout + done.stderr


def configure(box: Box, *cameras: str, file: str = CONFIGURATION, **more: object) -> None:
    """Writes the configuration: every camera shows the film, over and over."""
    box.file(file).write_text(
        yaml.safe_dump(
            {
                "device": "box",
                "mqtt": {"host": HOST, "port": PORT, "username": "box", "password": "PASSWORD"},
                "inference": {"backend": "onnxruntime", "threads": 1},
                "models": {"default": "street"},
                "cameras": {name: {"source": "/films/street.mp4", "loop": True, "fps": 5} for name in cameras},
                **more,
            }
        ).replace("PASSWORD", "!secret ospreyd_broker")
    )


def main_pid(box: Box) -> int:
    """Of the daemon, which must be running."""
    pid = int(box.show("MainPID"))
    assert pid, box.journal()[-4000:]  # kill would take 0 for its own process group
    return pid


def restarted(box: Box, old: int) -> bool:
    return box.show("MainPID") not in {"0", str(old)} and box.show("ActiveState") == "active"


def detects(subscriber: Subscriber, camera: str = "front") -> None:
    """Another frame of the camera is published, from now on."""
    subscriber.wait_for(f"{TOPICS}/{camera}/detections", after=time.monotonic(), timeout=30)
