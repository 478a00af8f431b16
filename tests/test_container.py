"""The container image and the compose example, as far as they can be read; tests/container builds and runs them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from daemon.config.load import load
from tests.conftest import ROOT, wait_for
from tests.daemon.capturing import pictures, write_video
from tests.daemon.running import box, daemon
from tests.servers.mosquitto import Mosquitto, free_port

STAGES = ["ospreyd", "nvidia"]


def stages() -> dict[str, list[str]]:
    """Instructions of the Containerfile by stage, each on one line."""
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("FROM "):
            lines = found.setdefault(line.split()[-1], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_runs_as_nobody_special_and_says_how_it_is(stage: str) -> None:
    lines = stages()[stage]
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert int(user) > 0  # a number: a cluster that refuses root cannot know who a name is
    (made,) = [line for line in lines if "useradd" in line]
    assert f"--uid {user} " in made
    assert lines.index(made) < lines.index(f"USER {user}") < lines.index('ENTRYPOINT ["ospreyd"]')
    (health,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    assert "http://127.0.0.1:9469/healthz" in health
    (environment,) = [dict(item.split("=", 1) for item in shlex.split(line)[1:]) for line in lines if "ENV " in line]
    (volumes,) = [yaml.safe_load(line.removeprefix("VOLUME ")) for line in lines if line.startswith("VOLUME")]
    assert [environment["STATE_DIRECTORY"], environment["CACHE_DIRECTORY"]] == volumes


def test_the_health_check_asks_the_daemon(broker: Mosquitto, tmp_path: Path) -> None:
    """As the images have it, but for the port."""
    (health,) = {line for stage in STAGES for line in stages()[stage] if line.startswith("HEALTHCHECK")}
    port = free_port()
    program, *arguments = yaml.safe_load(health.split("CMD ")[1].replace(":9469/", f":{port}/"))
    assert program == "python3"

    def healthy() -> bool:
        return subprocess.run([sys.executable, *arguments], check=False, capture_output=True).returncode == 0

    assert not healthy()
    film = write_video(tmp_path / "film.avi", pictures(5))
    document = box(broker, {"film": {"source": str(film), "loop": True}}, service={"metrics": {"port": port}})
    with daemon(tmp_path, document):
        wait_for(healthy, "the health check", 60)


def test_the_default_image_needs_no_gpu() -> None:
    assert list(stages())[-1] == "ospreyd"


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = [word for line in stages()["build"] if line.startswith("COPY") for word in line.split()[1:-1]]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_the_compose_example_has_all_that_it_mounts_and_a_valid_configuration() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")]
    checked = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounted = [each.split(":")[0] for service in services.values() for each in service["volumes"]]
    files = [Path(each) for each in mounted if each.startswith("./")]
    assert files
    assert all((ROOT / file).is_file() for file in files)
    config = load(ROOT / "configs/compose/ospreyd.yaml")
    assert config.mqtt.host in services
    assert services["ospreyd"]["cap_drop"] == ["ALL"]
    assert services["ospreyd"]["read_only"] is True
