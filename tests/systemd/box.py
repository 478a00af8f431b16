"""A small Debian that systemd runs, in a container: what the service is installed on in tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.conftest import missing, wait_for

DEBIAN_ROOT = "OSPREYD_DEBIAN_ROOT"
"""environment variable: where `make test-systemd` has put a Debian"""


class Box:
    """Booted when made, on a copy of its own, with the network of this machine; gone after `with`."""

    def __init__(self, folder: Path, read_only: dict[str, Path]) -> None:
        """`read_only`: folders of this machine, by their places in the box."""
        source = os.environ.get(DEBIAN_ROOT)
        if source is None or not Path(source).is_dir():
            missing("a Debian to boot", "make test-systemd")
            raise AssertionError("unreachable")
        self.root = folder / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", source, self.root], check=True)
        self._log = folder / "boot.log"
        binds = [f"--bind-ro={outside}:{inside}" for inside, outside in read_only.items()]
        command = [
            "systemd-nspawn",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            *binds,
            "-D",
            str(self.root),
            "--boot",
        ]
        with self._log.open("w") as log:
            self._container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._first = 0
        """process id, on this machine, of the box's systemd"""
        try:
            wait_for(self._booted, "the box to boot", 60)
        except BaseException:
            self._end()
            print(self._log.read_text())  # noqa: T201  (pytest shows it with the failure)
            raise

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a command in the box, as root, and waits for it."""
        enter = ["nsenter", f"--target={self._first}", "--all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/usr/local/bin"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False, timeout=timeout)

    def must(self, *command: str, timeout: float = 120) -> str:
        """As `run`; what it printed. Fails where it does."""
        done = self.run(*command, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}\n{self.journal()[-6000:]}"
        return done.stdout

    def show(self, prop: str, unit: str = "ospreyd") -> str:
        """A property of a unit."""
        return self.must("systemctl", "show", "--value", f"--property={prop}", unit).strip()

    def journal(self, unit: str = "ospreyd") -> str:
        """What a unit and systemd about it have said."""
        return self.run("journalctl", "--unit", unit, "--no-pager", "--output=cat").stdout

    def file(self, path: str) -> Path:
        """A file of the box, as seen from here."""
        return self.root / path.lstrip("/")

    def __enter__(self) -> Box:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()
        shutil.rmtree(self.root)

    def _booted(self) -> bool:
        assert self._container.poll() is None, f"systemd-nspawn ended:\n{self._log.read_text()}"
        children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children").read_text().split()
        if not children:
            return False
        self._first = int(children[-1])
        return self.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}

    def _end(self) -> None:
        if self._first and self._container.poll() is None:
            self.run("systemctl", "poweroff", "--force", "--force")
        deadline = time.monotonic() + 20
        while self._container.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self._container.kill()
        self._container.wait()
