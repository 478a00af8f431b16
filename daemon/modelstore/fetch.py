"""Fetching a model of the catalogue: from a mirror, its author or a folder, opened before it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from daemon.errors import DaemonError, UsageError
from daemon.modelstore.advice import get_command
from daemon.modelstore.catalogue import Entry
from daemon.modelstore.download import DiskError, Pin, Progress, download, finish
from daemon.modelstore.install import damage, locked, part_of, put, put_beside
from daemon.modelstore.inventory import Installed, digest_of, installed
from daemon.modelstore.request import DownloadError, Patience
from engines.errors import EngineError

MIRROR = "OSPREYD_MODEL_MIRROR"
OFFLINE = "OSPREYD_OFFLINE"
_CHUNK = 1 << 20
_RESERVE = 1 << 20  # bytes that stay free beside the model

Open = Callable[[Path, Entry], object]
"""opens a file as the entry says; raises EngineError where it is no such model"""


@dataclass(frozen=True, slots=True)
class Fetching:
    """How models are fetched."""

    open_it: Open
    progress: Progress
    environ: Mapping[str, str]
    patience: Patience = field(default_factory=Patience)


def whole(entry: Entry) -> Installed | None:
    """The model of an entry where it is installed and undamaged."""
    found = installed().get(entry.name)
    if found is None or found.sha256 != entry.sha256 or damage(found.folder) is not None:
        return None
    return found


def sources(entry: Entry, environ: Mapping[str, str]) -> list[str]:
    """Where an entry is asked for, in this order. Raises UsageError for a mirror that is no URL."""
    return [*_of_mirror(environ.get(MIRROR, ""), entry), entry.url, *entry.mirrors]


def is_offline(environ: Mapping[str, str]) -> bool:
    """Whether the network is left alone."""
    return environ.get(OFFLINE, "") not in ("", "0")


def install(entry: Entry, how: Fetching, given: Path | None = None) -> Installed:
    """Installs an entry, from the network or from `given`, a file or a folder that holds it.

    Raises DaemonError, FolderError and EngineError.
    """
    with locked(entry.name) as place:
        part, origin = _fetched(entry, how, place, given)
        _opened(part, entry, how)
        record = {
            "family": entry.family, "labels": entry.labels, "input": dict(entry.input),
            "confidence": entry.confidence, "licence": entry.licence, "origin": origin,
        }  # fmt: skip
        return put(place, part, entry.name, record)


def save(entry: Entry, how: Fetching, folder: Path) -> Path:
    """Fetches an entry into a folder, for another machine. Raises DaemonError and EngineError."""
    target = folder / entry.file
    if _is_there(target, entry):
        return target
    with locked(entry.name, folder):
        part, _ = _fetched(entry, how, folder, None)
        _opened(part, entry, how)
        if not _is_there(part, entry):  # only ospreyd heeds the lock
            raise DaemonError(f"{part}: was changed by somebody else; try again")
        put_beside(part, target)
    return target


def _is_there(file: Path, entry: Entry) -> bool:
    try:
        return digest_of(file) == entry.sha256
    except OSError:
        return False


def _fetched(entry: Entry, how: Fetching, place: Path, given: Path | None) -> tuple[Path, str]:
    """The whole file, not yet in its place, and where it is from."""
    part = part_of(place, entry.name, entry.sha256)
    _need_space(entry, place, part)
    if given is not None:
        return part, _copied(entry, _matching(entry, given), part)
    if is_offline(how.environ):
        raise DaemonError(f"{OFFLINE} is set, so nothing is fetched; {_without_internet(entry)}")
    failures = []
    for url in sources(entry, how.environ):
        if (failure := _failure(url, part, entry, how)) is None:
            return part, url
        failures.append(failure)
    advice = f"; {_advice(entry)}" if any(one.unreachable for one in failures) else ""
    told = "; ".join(dict.fromkeys(map(str, failures)))
    raise DaemonError(f"{entry.name} could not be fetched: {told}{advice}")


def _opened(part: Path, entry: Entry, how: Fetching) -> None:
    try:
        how.open_it(part, entry)
    except (DaemonError, EngineError):
        part.unlink()  # it is what the catalogue says, which is at fault: it would be resumed and refused for ever
        raise


def _failure(url: str, part: Path, entry: Entry, how: Fetching) -> DownloadError | None:
    """Why the file did not come from there; None where it did."""
    try:
        download(url, part, Pin(entry.size, entry.sha256), how.patience, how.progress)
    except DiskError as error:  # no other server would help
        raise DaemonError(str(error)) from None
    except DownloadError as error:
        return error
    return None


def _of_mirror(mirror: str, entry: Entry) -> Iterator[str]:
    if not mirror:
        return
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError(f"{MIRROR} must be https://host/path or http://host/path, without user and password")
    base = mirror.rstrip("/")
    yield f"{base}/{entry.sha256}/{quote(entry.file)}"
    yield f"{base}/{quote(entry.file)}"


def _need_space(entry: Entry, place: Path, part: Path) -> None:
    there = part.stat().st_size if part.is_file() else 0
    free = shutil.disk_usage(place).free
    if free < entry.size - there + _RESERVE:
        raise DaemonError(
            f"{entry.name} needs {entry.size / 1e6:.0f} MB, {free / 1e6:.0f} MB are free in {place}; free some space"
        )


def _matching(entry: Entry, given: Path) -> Path:
    """The file that is the entry's; where there is none, one of its name, which then says what is wrong."""
    if not given.exists():
        raise UsageError(f"--from: there is no {given}")
    if given.is_file():
        return given
    files = [one for one in sorted(given.iterdir()) if one.is_file()]
    for one in files:
        if one.stat().st_size == entry.size and digest_of(one) == entry.sha256:
            return one
    for one in files:
        if one.name in (entry.file, f"{entry.name}.onnx"):
            return one
    raise DaemonError(f"--from: {given} holds no {entry.name} ({entry.file}, {entry.size:,} bytes)")


def _copied(entry: Entry, source: Path, part: Path) -> str:
    try:
        with source.open("rb") as file, part.open("wb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
        finish(part, Pin(entry.size, entry.sha256), str(source))
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DaemonError(f"{error.filename or source}: cannot be copied: {error.strerror}") from None
    except DownloadError as error:
        raise DaemonError(str(error)) from None
    return str(source.absolute())


def _advice(entry: Entry) -> str:
    proxy = "" if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy")) else (
        "behind a proxy set HTTPS_PROXY; "
    )  # fmt: skip
    return f"{proxy}without internet: {_without_internet(entry)}"


def _without_internet(entry: Entry) -> str:
    return f"ospreyd model get {entry.name} --to DIR elsewhere, then {get_command(entry.name)} --from DIR here"
