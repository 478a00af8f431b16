"""The units as systemd itself judges them, and the scripts as shellcheck does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing

FOLDER = ROOT / "systemd"
UNITS = {
    "ospreyd.service": "ospreyd.service",
    "ospreyd@.service": "ospreyd@gpu0.service",
    "ospreyd-web.service": "ospreyd-web.service",
    "ospreyd-web@.service": "ospreyd-web@gpu0.service",
}
"""file, and the name that it is judged under"""
MOST_EXPOSED = 2.0


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Under a name that can be started, with a program that is here."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd", "apt-get install -y systemd")
    text = (FOLDER / request.param).read_text()
    for socket in FOLDER.glob("*.socket"):
        shutil.copy(socket, tmp_path)
    file = tmp_path / UNITS[request.param]
    file.write_text(re.sub(r"/opt/ospreyd/current/\S+", "/bin/true", text))
    return file


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_systemd_has_nothing_to_say_against_the_unit(unit: Path) -> None:
    assert analyze("verify", "--man=no", str(unit)) == ""


def test_the_unit_is_exposed_to_little(unit: Path) -> None:
    said = analyze("security", "--offline=true", str(unit))
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert overall is not None, said
    assert float(overall[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("name", UNITS)
def test_what_stays_open_is_explained(name: str, tmp_path: Path) -> None:
    """Options that systemd counts as open and that are neither set nor named in a comment."""
    if shutil.which("systemd-analyze") is None:
        missing("systemd", "apt-get install -y systemd")
    text = (FOLDER / name).read_text()
    (tmp_path / UNITS[name]).write_text(text)
    said = analyze("security", "--offline=true", str(tmp_path / UNITS[name]))
    opened = {line.split()[1].split("=")[0] for line in said.splitlines() if line.startswith("✗")}
    assert opened, said
    assert [option for option in sorted(opened) if option not in text] == []


def settings(name: str) -> list[str]:
    return [line for line in (FOLDER / name).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        (
            "ospreyd",
            {
                "Description=ospreyd,": "Description=ospreyd %i,",
                "/etc/ospreyd/ospreyd.": "/etc/ospreyd/%i.",
                "OSPREYD_INSTANCE=ospreyd": "OSPREYD_INSTANCE=%i",
                "StateDirectory=ospreyd": "StateDirectory=ospreyd/%i",
                "WorkingDirectory=/var/lib/ospreyd": "WorkingDirectory=/var/lib/ospreyd/%i",
            },
        ),
        (
            "ospreyd-web",
            {
                "Description=ospreyd,": "Description=ospreyd %i,",
                "/etc/ospreyd/ospreyd.yaml": "/etc/ospreyd/%i.yaml",
                "/etc/ospreyd/ospreyd-web.": "/etc/ospreyd/%i-web.",
                "ospreyd-web.socket": "ospreyd-web@%i.socket",
            },
        ),
    ],
)
def test_the_template_is_the_unit_with_a_name(name: str, named: dict[str, str]) -> None:
    expected = "\n".join(settings(f"{name}.service"))
    for of_one, of_many in named.items():
        assert of_one in expected
        expected = expected.replace(of_one, of_many)
    assert "\n".join(settings(f"{name}@.service")) == expected


def test_the_sockets_are_of_this_machine_alone() -> None:
    one, many = settings("ospreyd-web.socket"), settings("ospreyd-web@.socket")
    assert "ListenStream=127.0.0.1:9470" in one
    assert many == [line.replace("ospreyd,", "ospreyd %i,") for line in one]


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh", "ospreyd-service"])
def test_shellcheck_has_nothing_to_say_against_the_script(script: str) -> None:
    if shutil.which("shellcheck") is None:
        missing("shellcheck", "apt-get install -y shellcheck")
    subprocess.run(["shellcheck", FOLDER / script], check=True)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("install.sh", ["--frobnicate"]),
        ("install.sh", ["--extra"]),
        ("install.sh", ["a", "b"]),
        ("uninstall.sh", ["x"]),
    ],
)
def test_wrong_usage_changes_nothing_and_says_so(script: str, arguments: list[str]) -> None:
    done = subprocess.run([FOLDER / script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{script}" in done.stdout + done.stderr
