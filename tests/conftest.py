"""Fixtures that every test may use: the material folder, free ports, waiting for a condition."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

PATIENCE = 60.0
"""seconds to wait for what takes one on a quiet machine"""

# an example takes as long as the other tests on the machine let it
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def wait_for(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Returns as soon as `condition()` is true; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.01)


def telling(*facts: object) -> str:
    """A pattern for `pytest.raises(match=…)`: one sentence that has these names, values and commands in any words."""
    return "^" + "".join(f"(?=.*{re.escape(str(fact))})" for fact in facts) + ".*$"


def missing(what: str, install: str) -> None:
    """Skips the test for want of `what`; fails instead where CI=true, which must have everything."""
    message = f"{what} is not installed here: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def need_bindings(folder: Path) -> None:
    """Skips the test unless `make test` has installed another TensorRT there, for this Python."""
    tags = [file.read_text() for file in folder.glob("*_bindings-*.dist-info/WHEEL")]
    if not any(f"cp{sys.version_info.major}{sys.version_info.minor}-" in tag for tag in tags):
        missing(f"{folder.name} for this Python", "make test installs it, for the Python of its environment")


@pytest.fixture(scope="session")
def material() -> Path:
    """Real models, pictures and videos, kept outside the repository."""
    folder = ROOT.parent / "shared" / "material"
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip("the test material (../shared/material) is not here")
    return folder
