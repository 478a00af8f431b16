"""Folders for engines and state: systemd's, then XDG's, then the home directory's, else one clear error."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import FolderError
from engines.folders import cache_folder, state_folder
from tests.conftest import ROOT

VARIABLES = ("HOME", "STATE_DIRECTORY", "XDG_STATE_HOME", "CACHE_DIRECTORY", "XDG_CACHE_HOME")


@pytest.mark.parametrize(
    ("environment", "state", "cache"),
    [
        (
            {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"},
            "/var/lib/a",
            "/var/cache/a",
        ),
        ({"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, "/s/ospreyd", "/c/ospreyd"),
        ({"XDG_STATE_HOME": "s", "XDG_CACHE_HOME": "./c"}, "/home/u/.local/state/ospreyd", "/home/u/.cache/ospreyd"),
        ({"STATE_DIRECTORY": "", "XDG_CACHE_HOME": ""}, "/home/u/.local/state/ospreyd", "/home/u/.cache/ospreyd"),
    ],
    ids=["systemd", "XDG", "relative XDG is ignored", "empty is unset"],
)
def test_the_most_specific_setting_wins(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], state: str, cache: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/u", **environment}.items():
        monkeypatch.setenv(name, value)
    assert (state_folder(), cache_folder()) == (Path(state), Path(cache))


@pytest.mark.parametrize(("folder", "variable"), [(state_folder, "STATE_DIRECTORY"), (cache_folder, "CACHE_DIRECTORY")])
def test_without_a_home_the_error_names_the_variable_to_set(
    monkeypatch: pytest.MonkeyPatch, folder: Callable[[], Path], variable: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", dict[int, object]().__getitem__)  # a user without an entry
    with pytest.raises(FolderError, match=variable):
        folder()


@pytest.mark.parametrize(
    ("command", "code"),
    [("engine list", 2), ("outbox status FILE", 2), ("run FILE", 2), ("doctor", 1), ("check FILE", 0)],
)
def test_commands_of_a_user_without_a_home_end_with_one_sentence(command: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(
        "device: a\nmqtt: {host: 127.0.0.1}\nmodels: {default: street}\ncameras: {front: {source: /film.mp4}}\n"
    )
    arguments = [str(file) if word == "FILE" else word for word in command.split()]
    program = f"""
import pwd, sys
pwd.getpwuid = {{}}.__getitem__  # as for a user without a passwd entry
from daemon.cli.main import run_cli
sys.exit(run_cli({arguments!r}))
"""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if code == 2:
        assert done.stderr.splitlines()[-1].startswith(f"ospreyd: user {os.geteuid()} has no home directory")
    if code == 1:
        assert "problem: cache: user" in done.stdout
