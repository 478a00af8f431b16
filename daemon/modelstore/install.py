"""Installing and removing models: whole files only, whatever ends the process."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from daemon.errors import DaemonError, UsageError
from daemon.modelstore.inventory import DEFAULT, RECORD, Installed, digest_of, folders, own_folder, read_record

_TEXTS = Path(__file__).parent / "licences"


@contextmanager
def locked(name: str, elsewhere: Path | None = None) -> Iterator[Path]:
    """The folder that models are installed into, made if it is not there, while no other process writes this model.

    `elsewhere`: another folder, that the file of the model alone is written to. Raises DaemonError and FolderError.
    """
    place = elsewhere or own_folder()
    with _telling(place):
        place.mkdir(mode=0o700 if elsewhere is None else 0o777, parents=True, exist_ok=True)
        if elsewhere is None and (owner := place.stat().st_uid) != os.geteuid():
            raise DaemonError(f"{place}: belongs to {_user(owner)}; run this as that user (the service's: {_SERVICE})")
        lock = os.open(place / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DaemonError(f"another ospreyd fetches {name}; wait until it has ended") from None
        except OSError as error:
            raise DaemonError(f"{place}: its file system has no locks: {error.strerror}; use another folder") from None
        yield place
    finally:
        os.close(lock)


_SERVICE = "sudo ospreyd-service model"


def part_of(place: Path, name: str, sha256: str) -> Path:
    """The file that a download goes to. Another file of the same name has another one."""
    return place / f"{name}-{sha256[:8]}.part"


def put(place: Path, part: Path, name: str, record: Mapping[str, Any], labels: Path | None = None) -> Installed:
    """Moves a whole and right file to its place. Only for whoever holds the lock.

    The model is what model.json says: until that is replaced, in one step, the model before is installed.
    `labels`: a file to copy. Raises DaemonError.
    """
    folder = place / name
    with _telling(place):
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(part)
        size, sha256 = part.stat().st_size, digest_of(part)
        file = f"{name}-{sha256[:8]}.onnx"
        kept = record.get("labels")
        if labels is not None:
            kept = f"labels-{digest_of(labels)[:8]}{labels.suffix}"
            _write(folder / kept, labels.read_bytes())
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        values = {"licence": None, **record, "labels": kept, "name": name, "file": file, "installed": now}
        one = Installed(folder=folder, size=size, sha256=sha256, **values)
        if one.licence is not None:
            _write(folder / "LICENSE", _licence(one.licence))
        part.replace(folder / file)
        document = {key: value for key, value in asdict(one).items() if key != "folder"}
        _write(folder / RECORD, json.dumps({"schema": 1, **document}, indent=1).encode())
        _sync(folder)
        for old in folder.iterdir():
            if old.name not in (file, kept, RECORD, "LICENSE"):
                old.unlink()
        _forget_parts(place, name)
        return one


def put_beside(part: Path, target: Path) -> None:
    """Moves a whole and right file to where whoever carries it away finds it, readable for any user.

    Raises DaemonError.
    """
    with _telling(target.parent):
        with suppress(PermissionError):  # a stick may know no permissions
            part.chmod(0o644)
        _sync(part)
        part.replace(target)
        _sync(target.parent)


def make_default(place: Path, name: str) -> None:
    """The model that serves where none is named. Raises DaemonError."""
    with _telling(place):
        _write(place / DEFAULT, f"{name}\n".encode())


def remove(name: str) -> bool:
    """Removes what is there of a model; whether it was the default. Raises UsageError, DaemonError and FolderError."""
    place = own_folder()
    folder = place / name
    if not any(one.name == name for one in folders(place)):
        known = ", ".join(one.name for one in folders(place)) or "none"
        raise UsageError(f"no model {name!r} is installed in {place}; installed there: {known}")
    with locked(name), _telling(place):
        (folder / RECORD).unlink(missing_ok=True)  # first: what is left of an interrupted removal is not installed
        shutil.rmtree(folder)
        _forget_parts(place, name)
        with suppress(FileNotFoundError):
            if (place / DEFAULT).read_text(encoding="utf-8").strip() == name:
                (place / DEFAULT).unlink()
                return True
    return False


def damage(folder: Path) -> str | None:
    """What is wrong with a model's folder, in one sentence; None where it is as it was installed."""
    one = read_record(folder)
    if one is None:
        return f"{folder / RECORD} is missing or cannot be read"
    try:
        size, found = one.path.stat().st_size, digest_of(one.path)
    except OSError as error:
        return f"{one.path} cannot be read: {error.strerror}"
    if size != one.size:
        return f"{one.path} has {size:,} bytes, expected {one.size:,}"
    return None if found == one.sha256 else f"the sha256 of {one.path} is {found}, expected {one.sha256}"


def _forget_parts(place: Path, name: str) -> None:
    for part in place.glob(f"{name}-????????.part"):
        part.unlink()


def _licence(spdx: str) -> bytes:
    text = _TEXTS / f"{spdx}.txt"
    return text.read_bytes() if text.is_file() else f"{spdx}: https://spdx.org/licenses/{spdx}.html\n".encode()


def _write(path: Path, data: bytes) -> None:
    """In one step: there is the old file or the whole new one."""
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _telling(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DaemonError(f"{error.filename or place}: cannot be written: {error.strerror}") from None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
