"""Other distributions that install into ospreyd's import packages, as PyPI's python-daemon does into `daemon`.

pip lets the last installation win, and removes shared files when either is uninstalled. The entry point checks this
before it imports anything else, so this module needs nothing but the standard library.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from daemon.doctor.finding import Finding, Problem
from engines.text import counted

PACKAGES = ("daemon", "engines")
"""import packages of ospreyd"""
_NAME = "ospreyd"
_HERE = Path(__file__).resolve().parents[2]
"""folder that the running packages are in"""
_OWN = "install ospreyd into a virtual environment of its own"


@dataclass(frozen=True, slots=True)
class Damage:
    """Files of ospreyd that are not as they were installed, relative to the folder of packages."""

    replaced: tuple[str, ...]
    missing: tuple[str, ...]


def refusal() -> str | None:
    """Why ospreyd must not start, in one sentence; None where its packages can be imported."""
    damage = find_damage(f"{package}/__init__.py" for package in PACKAGES)
    if damage.missing:
        return (
            f"{damage.missing[0]} is missing: a distribution that also installs it was removed; "
            f"install ospreyd again, or {_OWN}"
        )
    owners = _owners() if damage.replaced else {}
    for file in damage.replaced:
        others = owners.get(file.split("/")[0])
        if others:  # else somebody edited the file
            named = " and ".join(others)
            return f"{named} has replaced {file} of ospreyd; {_OWN}, or uninstall {named} and install ospreyd again"
    return None


def packages() -> Finding:
    """Distributions that share a package with ospreyd, and files of ospreyd that are not as they were installed."""
    owners, damage = _owners(), find_damage()
    problems = [
        Problem(
            "packages",
            f"{' and '.join(others)} also installs a package `{package}`: removing or upgrading it can break ospreyd",
            _OWN,
            stops=False,
        )
        for package, others in owners.items()
    ]
    if damage.missing:
        said = f"{counted(len(damage.missing), 'file')} of ospreyd missing, such as {damage.missing[0]}"
        problems.append(Problem("packages", said, "install ospreyd again"))
    if damage.replaced:
        said = f"{counted(len(damage.replaced), 'file')} of ospreyd changed, such as {damage.replaced[0]}"
        problems.append(Problem("packages", said, "install ospreyd again", stops=False))
    facts = {
        "shared": {package: list(others) for package, others in owners.items()},
        "missing": list(damage.missing),
        "changed": list(damage.replaced),
    }
    line = "; ".join(problem.problem for problem in problems) or "no other distribution installs into ospreyd's"
    return Finding("packages", line, facts, tuple(problems))


def find_damage(files: Iterable[str] | None = None) -> Damage:
    """Compares files with what pip noted when it installed them; all files by default.

    Where ospreyd runs from a source tree, nothing was noted.
    """
    wanted = None if files is None else set(files)
    replaced, missing = [], []
    for name, noted in _installed():
        if name.split("/")[0] not in PACKAGES or (wanted is not None and name not in wanted):
            continue
        path = _HERE / name
        if not path.is_file():
            missing.append(name)
        elif noted and _digest(path, noted.partition("=")[0]) != noted.partition("=")[2]:
            replaced.append(name)
    return Damage(tuple(replaced), tuple(missing))


def _owners() -> dict[str, tuple[str, ...]]:
    """Other distributions with files in each of the packages, as `name version`; packages without any are left out."""
    found: dict[str, list[str]] = {}
    for other in distributions():
        if other.metadata["Name"] == _NAME:
            continue
        for package in PACKAGES:
            if any(file.parts[0] == package for file in other.files or ()):
                found.setdefault(package, []).append(f"{other.metadata['Name']} {other.version}")
    return {package: tuple(sorted(set(others))) for package, others in found.items()}


def _installed() -> list[tuple[str, str]]:
    """Files of ospreyd and their digests, as noted beside the packages that run; empty in a source tree."""
    try:
        own = distribution(_NAME)
    except PackageNotFoundError:
        return []
    if Path(str(own.locate_file(""))).resolve() != _HERE:
        return []
    # not `own.files`, which from Python 3.12 on leaves out what is missing
    return [(name, noted) for name, noted, _ in csv.reader((own.read_text("RECORD") or "").splitlines())]


def _digest(path: Path, algorithm: str) -> str:
    """As a wheel's RECORD has it."""
    digest = hashlib.new(algorithm, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
