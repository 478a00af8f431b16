"""The container image and the compose example, as far as they can be read; docs/install.md says how they are built."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from daemon.config.load import load
from tests.conftest import ROOT

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
    assert user == "ospreyd"
    assert lines.index("USER ospreyd") < lines.index('ENTRYPOINT ["ospreyd"]')
    (health,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    assert "http://127.0.0.1:9469/healthz" in health
    (environment,) = [dict(item.split("=", 1) for item in shlex.split(line)[1:]) for line in lines if "ENV " in line]
    (volumes,) = [yaml.safe_load(line.removeprefix("VOLUME ")) for line in lines if line.startswith("VOLUME")]
    assert [environment["STATE_DIRECTORY"], environment["CACHE_DIRECTORY"]] == volumes


def test_the_default_image_needs_no_gpu() -> None:
    assert list(stages())[-1] == "ospreyd"


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = [word for line in stages()["build"] if line.startswith("COPY") for word in line.split()[1:-1]]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_the_compose_example_has_all_that_it_mounts_and_a_valid_configuration() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounted = [each.split(":")[0] for service in services.values() for each in service["volumes"]]
    files = [Path(each) for each in mounted if each.startswith("./")]
    assert files
    assert all((ROOT / file).is_file() for file in files)
    config = load(ROOT / "configs/compose/ospreyd.yaml")
    assert config.mqtt.host in services
    assert services["ospreyd"]["cap_drop"] == ["ALL"]
    assert services["ospreyd"]["read_only"] is True
