"""`ospreyd outbox` on every kind of broken disk: one sentence, and an exit code."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from daemon.cli.main import run_cli
from daemon.config.outbox import Outbox as Settings
from daemon.outbox.store import Outbox
from tests.conftest import ROOT
from tests.daemon.test_outbox import fill
from tests.servers.mosquitto import free_port

NOBODY = 65534


def remount(options: str) -> Callable[[Path], object]:
    return lambda path: subprocess.run(["mount", "-o", f"remount,{options}", str(path.parent)], check=True)


def execute(sentence: str) -> Callable[[Path], object]:
    """Changes the file from outside."""

    def change(path: Path) -> None:
        with sqlite3.connect(path) as database:
            database.execute(sentence)

    return change


def in_place(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Something else is where the file was."""

    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def flip(seed: int) -> Callable[[Path], object]:
    """Some bytes of the file are others."""

    def change(path: Path) -> None:
        data, rng = bytearray(path.read_bytes()[: 1 << 14]), random.Random(seed)
        for _ in range(30):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "full": lambda path: fill(path.with_name("filler")),
    "read-only": remount("ro"),
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"no database\n" * 1000),
    "cut off": lambda path: os.truncate(path, 5000),
    "directory": in_place(Path.mkdir),
    "FIFO": in_place(os.mkfifo),
    "loop": in_place(lambda path: path.symlink_to(path)),
    "link to nothing": in_place(lambda path: path.symlink_to("/nowhere/outbox.db")),
    "lock is a directory": lambda path: path.with_name(f"{path.name}.lock").mkdir(),
    "WAL is a directory": lambda path: path.with_name(f"{path.name}-wal").mkdir(),
    "folder is shut": lambda path: path.parent.chmod(0),
    "file is shut": lambda path: path.chmod(0),
    "no counters": execute("DELETE FROM numbers"),
    "no number": execute("UPDATE numbers SET value = 'x'"),
    "no age": execute("UPDATE messages SET clock = 'x', checksum = NULL"),
    "no text": execute("UPDATE messages SET topic = CAST(x'ff' AS TEXT), checksum = NULL"),
    "other tables": execute("ALTER TABLE messages RENAME TO others"),
    "other columns": execute("ALTER TABLE messages RENAME COLUMN clock TO time"),
    "no deletion": execute("CREATE TRIGGER t BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'no'); END"),
    "other counters": execute("ALTER TABLE numbers RENAME TO n"),
    **{f"flipped {seed}": flip(seed) for seed in range(4)},
}
NO_OUTBOX = ("read-only", "directory", "loop", "folder is shut", "file is shut")
"""none of the commands can do anything"""


@pytest.fixture
def outbox() -> Iterator[Path]:
    """With three messages, on a small file system of its own, in a folder that everybody can read."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "disk")
        folder.mkdir()
        Path(parent).chmod(0o755)
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("a small file system cannot be mounted here")
        try:
            made = Outbox(folder / "outbox.db", Settings())
            made.update([("a", b"1"), ("a", b"2"), ("b", b"3")], ())
            made.close()
            (folder / "outbox.db.lock").unlink()
            yield folder / "outbox.db"
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read and write whatever is shut."""
    os.seteuid(NOBODY)
    try:
        if not os.access(ROOT / "daemon", os.R_OK | os.X_OK, effective_ids=True):
            pytest.skip("the checkout cannot be read by others")
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("command", ["status", "drop", "flush --seconds 0.3"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_outbox_is_one_sentence(
    damage: str, command: str, outbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = outbox.parent.parent / "gate.yaml"
    mqtt = f"{{host: 127.0.0.1, port: {free_port()}, outbox: {{path: {outbox}}}}}"
    config.write_text(f"device: gate\nmqtt: {mqtt}\ncameras: {{front: {{source: 0}}}}\nmodels: {{default: street}}\n")
    DAMAGES[damage](outbox)
    with as_nobody() if "shut" in damage else nullcontext():
        code = run_cli(["outbox", *command.split(), str(config), "--json"])
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("ospreyd: ")]
    if code == 0:
        assert errors == []
        json.loads(said.out)
    else:
        assert len(errors) == 1, (code, said)
        assert code == (1 if command.startswith("flush") and "no event was sent" in errors[0] else 2)
    if damage in NO_OUTBOX:
        assert code == 2
