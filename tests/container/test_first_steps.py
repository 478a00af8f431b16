"""The README's first steps on a fresh Debian 12, whose pip installs nothing outside a virtual environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.container.podman import DEBIAN, Podman

pytestmark = [pytest.mark.container, pytest.mark.timeout(1200)]

README = (ROOT / "README.md").read_text()
USE_IT = README.split("\n## Use it\n")[1].split("\n## ")[0]
PACKAGES = re.findall(r"`sudo apt-get install ([^`]+)`", USE_IT)[0].split()
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^    (.+)$", USE_IT, re.MULTILINE)]
CONFIGURATION = re.findall(r"```yaml\n(.+?)```", USE_IT, re.DOTALL)[0]
MODELS = re.findall(r"`(models: .+?)`", USE_IT)[0]

FRESH = f"""FROM {DEBIAN}
RUN apt-get update && apt-get install --yes --no-install-recommends python3 git make mosquitto
RUN useradd --create-home --shell /bin/bash alice
"""
"""as a machine is installed, with a broker; and a user"""


class Fresh:
    """A machine that runs a broker and has this project's tree in the home of alice."""

    def __init__(self, podman: Podman, tree: Path) -> None:
        self._podman = podman
        podman.build("localhost/fresh", FRESH)
        start = ("--detach", "--network", "host", "--name", "fresh", "--volume", f"{tree}:/tree:ro", *podman.wheels)
        broker = "exec mosquitto -p 1885"
        podman.must("podman", "run", *start, "localhost/fresh", "sh", "-c", broker)
        self.root("cp --recursive /tree /home/alice/ospreyd-source && chown --recursive alice /home/alice")

    def root(self, command: str) -> str:
        return self._podman.must("podman", "exec", "fresh", "bash", "-c", command)

    def alice(self, command: str) -> tuple[int, str]:
        """In the source tree; the exit status, and all that was printed."""
        enter = ("podman", "exec", "--user", "alice", "--workdir", "/home/alice/ospreyd-source", "fresh")
        done = self._podman.run(*enter, "bash", "-c", command)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def fresh(podman: Podman, tree: Path) -> Fresh:
    return Fresh(podman, tree)


def test_what_is_missing_is_named_as_the_readme_names_it(fresh: Fresh) -> None:
    status, said = fresh.alice("make demo")
    assert status != 0
    assert "apt-get install libgl1 libglib2.0-0" in said
    status, said = fresh.alice("python3 -m venv /tmp/none")
    assert status != 0
    assert "python3-venv" in PACKAGES


def test_the_demo_runs_with_the_packages_that_the_readme_names(fresh: Fresh) -> None:
    fresh.root(f"apt-get install --yes --no-install-recommends {' '.join(PACKAGES)}")
    status, said = fresh.alice("make demo ARGS='--seconds 3'")
    assert status == 0, said
    assert "recall" in said


def test_the_commands_do_what_the_readme_says(fresh: Fresh) -> None:
    """Each in its order, in one shell; `run` goes on while `watch` looks, and there is a broker on another port."""
    *install, get, check, run, watch = COMMANDS
    assert [line.split()[1] for line in (get, check, run, watch)] == ["model", "check", "run", "watch"]
    mqtt = CONFIGURATION.replace("{host: localhost}", "{host: localhost, port: 1885}")
    assert mqtt != CONFIGURATION
    script = [
        "set -e",
        *install,
        f"cat > gate.yaml <<'END'\n{mqtt}END",
        f"{get} || echo '{MODELS}' >> gate.yaml",  # without internet, the demonstration's
        check,
        f"{run} 2>run.log & daemon=$!",
        f"timeout 15 {watch} || true",
        "kill $daemon; wait $daemon; cat run.log",
    ]
    status, said = fresh.alice("\n".join(script))
    assert status == 0, said
    assert "gate.yaml: valid; device gate-01, 1 camera" in said
    assert "connected to the broker at localhost:1885" in said
    assert re.search(r"front .*offline", said), said


def test_pip_is_refused_outside_a_virtual_environment_and_pipx_is_not(fresh: Fresh) -> None:
    fresh.root("apt-get install --yes --no-install-recommends python3-pip pipx")
    status, said = fresh.alice("pip install .")
    assert status != 0
    assert "externally-managed-environment" in said
    status, said = fresh.alice("pipx install . && ~/.local/bin/ospreyd --version")
    assert status == 0, said
    assert re.search(r"^ospreyd \d", said, re.MULTILINE), said
