"""Podman with images that are all made here, apart from those of the machine: a registry is not asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.conftest import missing, wait_for

SLIM = "OSPREYD_DEBIAN_SLIM"
"""environment variable: where `make test-container` has put the files of a small Debian 12"""
DEBIAN = "docker.io/library/debian:bookworm-slim"
MOSQUITTO = "docker.io/library/eclipse-mosquitto:2"
BUILD = ("--format", "docker", "--network", "host")
"""as documented; the network is the machine's, since Debian's packages are fetched"""

_CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
_PIP = "[global]\\nno-index = true\\nfind-links = /wheels\\n"


class Podman:
    """With Debian's image. Gone after `with`."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        """`wheels`: the packages that pip finds in containers, and the only ones."""
        source = os.environ.get(SLIM)
        if source is None or not Path(source).is_file():
            missing("a Debian to make images of", "make test-container")
            raise AssertionError("unreachable")
        self._folder = folder
        self.wheels = ("--volume", f"{wheels}:/wheels:ro")
        """options of commands whose containers use pip"""
        self._enter: list[str] = []
        containers, storage = folder / "containers.conf", folder / "storage.conf"
        containers.write_text(_CONTAINERS.format(folder=folder))
        storage.write_text(_STORAGE.format(folder=folder))
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }
        self.must("podman", "import", "--quiet", source, "localhost/debian")
        self.build(DEBIAN, f"FROM localhost/debian\nRUN printf '{_PIP}' > /etc/pip.conf\n")

    def build(self, tag: str, containerfile: str) -> None:
        """An image of the text of a Containerfile."""
        folder = self._folder / "build"
        folder.mkdir(exist_ok=True)
        (folder / "Containerfile").write_text(containerfile)
        self.must("podman", "build", *BUILD, *self.wheels, "--tag", tag, str(folder))

    @contextmanager
    def network(self) -> Iterator[None]:
        """Meanwhile everything runs in a network namespace: ports do not meet those of the machine."""
        with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as holder:
            try:
                theirs, ours = Path(f"/proc/{holder.pid}/ns/net"), Path("/proc/self/ns/net")
                wait_for(lambda: theirs.readlink() != ours.readlink(), "a network")
                self._enter = ["nsenter", f"--net={theirs}"]
                self.must("ip", "link", "set", "lo", "up")
                yield
            finally:
                self.run("podman", "rm", "--all", "--force", "--time=2")
                self._enter = []
                holder.kill()

    def run(self, *command: str, cwd: Path | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a program that uses this Podman, such as `podman` itself."""
        return subprocess.run(
            [*self._enter, *command],
            cwd=cwd or self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def must(self, *command: str, cwd: Path | None = None, timeout: float = 600) -> str:
        """As `run`; what it printed. Fails where it does."""
        done = self.run(*command, cwd=cwd, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def __enter__(self) -> Podman:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.run("podman", "rm", "--all", "--force", "--time=2")
        self.run("podman", "rmi", "--all", "--force")
        subprocess.run(["umount", self._folder / "storage/overlay"], check=False, capture_output=True)
        shutil.rmtree(self._folder)
