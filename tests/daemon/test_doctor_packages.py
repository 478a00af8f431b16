"""Another distribution's `daemon` package beside ospreyd's: refused with one sentence, or reported by the doctor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing

OTHER = "python-daemon"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with an installed ospreyd; its dependencies come from the environment of the tests."""

    folder: Path

    @property
    def packages(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(self.folder)]
        return subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)

    def ospreyd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [self.folder / "bin" / "ospreyd", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ospreyd, built from a copy so that nothing is left in the source tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("daemon", "engines"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps", str(tree)]
    done = subprocess.run([*command, "--wheel-dir", tree], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing("a package index to build the wheel with", done.stderr[-500:])
    return next(tree.glob("ospreyd-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What every test has a copy of."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    (made.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = made.pip("install", "--no-deps", str(wheel))
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def environment(installed: Environment, tmp_path: Path) -> Environment:
    shutil.copytree(installed.folder, tmp_path / "venv", symlinks=True)
    made = Environment(tmp_path / "venv")
    command = made.folder / "bin" / "ospreyd"
    command.write_text(command.read_text().replace(str(installed.folder), str(made.folder)))
    return made


def install_other(environment: Environment) -> None:
    done = environment.pip("install", OTHER)
    if done.returncode != 0:
        missing(f"{OTHER} from a package index", done.stderr[-500:])


def replace_daemon(environment: Environment) -> None:
    install_other(environment)
    assert "DaemonContext" in (environment.packages / "daemon" / "__init__.py").read_text(), "it replaces no file now"


def uninstall_other(environment: Environment) -> None:
    install_other(environment)
    done = environment.pip("uninstall", "--yes", OTHER)
    assert done.returncode == 0, done.stderr


def replace_engines(environment: Environment) -> None:
    """By a distribution made up here, of which only its notes and its file are there."""
    (environment.packages / "engines" / "__init__.py").write_text("steam = True\n")
    notes = environment.packages / "steam-2.0.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: steam\nVersion: 2.0\n")
    (notes / "RECORD").write_text("engines/__init__.py,,\n")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (replace_daemon, (OTHER, "daemon/__init__.py", "virtual environment")),
        (uninstall_other, ("daemon/__init__.py is missing", "install ospreyd again")),
        (replace_engines, ("steam 2.0", "engines/__init__.py", "virtual environment")),
    ],
)
def test_refuses_to_start_with_one_sentence(
    environment: Environment, change: Callable[[Environment], None], names: tuple[str, ...]
) -> None:
    assert environment.ospreyd("--version").returncode == 0
    change(environment)
    for command in ("--version", "doctor"):
        done = environment.ospreyd(command)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert all(name in done.stderr for name in names), done.stderr


def test_an_edited_file_is_reported_and_stops_nothing(environment: Environment) -> None:
    with (environment.packages / "daemon" / "__init__.py").open("a") as file:
        file.write("# edited on the machine\n")
    done = environment.ospreyd("doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["packages"] == {"shared": {}, "missing": [], "changed": ["daemon/__init__.py"]}


def test_the_doctor_names_a_distribution_that_ospreyd_has_replaced(environment: Environment, wheel: Path) -> None:
    """ospreyd was installed last: it runs, and the other is broken."""
    install_other(environment)
    done = environment.pip("install", "--no-deps", "--force-reinstall", str(wheel))
    assert done.returncode == 0, done.stderr
    said = json.loads(environment.ospreyd("doctor", "--json").stdout)
    (shared,) = said["packages"]["shared"]["daemon"]
    assert shared.startswith(OTHER)
    assert [(p["what"], p["stops"]) for p in said["problems"] if p["what"] == "packages"] == [("packages", False)]
