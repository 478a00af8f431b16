"""Wheels to install from without a network: this project's, what it needs, and versions that are broken."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.conftest import ROOT

_DEBIAN_PYTHON = "3.11"
"""of Debian 12"""


def project(folder: Path) -> Path:
    """This tree as a wheel."""
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("ospreyd-*.whl")
    return wheel


def dependencies(cache: Path, wheel: Path, extra: str, *tools: str) -> Path:
    """A folder with all that the wheel needs, and `tools`; found again as long as pyproject.toml stays."""
    key = (ROOT / "pyproject.toml").read_bytes() + " ".join((extra, *tools)).encode()
    folder = cache / f"wheels-{hashlib.sha256(key).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        only = ["--only-binary=:all:", "--python-version", _DEBIAN_PYTHON]
        _pip("download", *only, "--dest", str(folder), f"{wheel}[{extra}]" if extra else str(wheel), *tools)
        for own in folder.glob("ospreyd-*.whl"):
            own.unlink()
        (folder / "complete").touch()
    return folder


def altered(wheel: Path, folder: Path, path: str, text: str) -> Path:
    """The wheel with `text` at the end of its file `path`."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / wheel.name, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (text.encode() if name == path else b""))
    return folder / wheel.name


def stand_in(folder: Path, name: str, version: str) -> None:
    """An empty package in the place of one that cannot be had without a GPU's compiler."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
