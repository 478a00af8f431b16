"""What the tests of containers share: Podman with a Debian, and this tree without what git ignores."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.container.podman import SLIM, Podman
from tests.systemd.wheels import dependencies, project

TOOLS = ("pip", "setuptools>=77", "wheel")
"""what pip and pipx take from an index by themselves"""


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    folder = tmp_path_factory.mktemp("podman")
    cache = Path(os.environ.get(SLIM, folder)).parent
    wheels = dependencies(cache, project(tmp_path_factory.mktemp("wheel")), "demo", *TOOLS)
    with Podman(folder, wheels) as running:
        yield running


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files, as git would clone them."""
    folder = tmp_path_factory.mktemp("tree")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(
        ["cp", "--parents", "--target-directory", folder, *files.decode().split("\0")[:-1]], cwd=ROOT, check=True
    )
    return folder
