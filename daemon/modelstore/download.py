"""Downloads one pinned file over HTTP(S): resumed, tried again, and whole and right when it is there."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any

from daemon.modelstore.request import DownloadError, Patience, RestartError, host_of, opened

_CHUNK = 1 << 16
_HEAD = 512  # bytes that tell what a file is

Progress = Callable[[int, int], None]
"""gets the bytes that are there and those of the whole file"""


@dataclass(frozen=True, slots=True)
class Pin:
    """What the file must be."""

    size: int
    """bytes"""
    sha256: str


class DiskError(DownloadError):
    """The disk is at fault and no server."""


def download(url: str, part: Path, pin: Pin, patience: Patience, progress: Progress) -> None:
    """Fills `part`, which may hold the beginning already, from `url`. What is not the file is deleted.

    Raises DownloadError; what came of the file so far is kept for the next time, as it is when this is interrupted.
    """
    waits = iter(patience.waits)
    while (error := _failure(url, part, pin, patience, progress)) is not None:
        if isinstance(error, RestartError):
            part.unlink(missing_ok=True)
            continue
        wait = 0.0 if error.after == 0 else next(waits, None)
        if not error.again or wait is None:
            raise error
        time.sleep(wait if error.after is None else error.after)


def _failure(url: str, part: Path, pin: Pin, patience: Patience, progress: Progress) -> DownloadError | None:
    """Why one try failed; None where the file is there."""
    try:
        _try(url, part, pin, patience, progress)
    except DownloadError as error:
        return error
    return None


def finish(part: Path, pin: Pin, where: str) -> None:
    """Raises DownloadError and deletes `part` where it is not the file."""
    found = hashlib.sha256()
    for chunk in _chunks(part):
        found.update(chunk)
    _check(part, pin, found.hexdigest(), where)


def _try(url: str, part: Path, pin: Pin, patience: Patience, progress: Progress) -> None:
    have, digest = _beginning(part, pin)
    resumed = have > 0
    if have < pin.size:
        with opened(url, have, patience) as response:
            start = _start(response, have, pin, url)
            if start == 0 and have:
                digest, resumed = hashlib.sha256(), False
            got = _receive(response, part, pin, start, digest, progress, url)
        if got < pin.size:
            if misfit := _misfit(part):
                part.unlink()
                raise DownloadError(f"{host_of(url)}: {misfit}")
            raise DownloadError(f"{host_of(url)}: the connection ended after {got:,} of {pin.size:,} bytes", again=True)
    try:
        _check(part, pin, digest.hexdigest(), url)
    except DownloadError as error:
        if resumed:  # the beginning may have been another file's: once more, from the start
            error.again, error.after = True, 0
        raise


def _check(part: Path, pin: Pin, found: str, where: str) -> None:
    if found == pin.sha256:
        return
    said = _misfit(part) or f"sha256 is {found}, expected {pin.sha256}"
    part.unlink()
    raise DownloadError(f"{said}: not used, deleted; from {where}")


def _beginning(part: Path, pin: Pin) -> tuple[int, Any]:
    """How many bytes are there already, and their digest; what cannot be the beginning is deleted."""
    digest = hashlib.sha256()
    try:
        if part.stat().st_size > pin.size:
            part.unlink()
        for chunk in _chunks(part):
            digest.update(chunk)
        return part.stat().st_size, digest
    except FileNotFoundError:
        return 0, hashlib.sha256()


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            yield chunk


def _start(response: HTTPResponse, have: int, pin: Pin, url: str) -> int:
    """The offset of the first byte of the answer. Raises DownloadError where it is not what was asked for."""
    if response.status != 206:
        return 0
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
    fits = said is not None and int(said[1]) == have and int(said[2]) == pin.size - 1
    if fits and said is not None and said[3] in ("*", str(pin.size)):
        return have
    raise (RestartError if have else DownloadError)(f"{host_of(url)}: sends another range than it was asked for")


def _receive(
    response: HTTPResponse, part: Path, pin: Pin, start: int, digest: Any, progress: Progress, url: str
) -> int:
    """Writes the answer behind the first `start` bytes; how many there are then."""
    got, host = start, host_of(url)
    length = response.headers.get("Content-Length", "")
    with _opened_part(part, start) as file:
        while chunk := response.read1(_CHUNK):
            _write_all(file, chunk[: pin.size + 1 - got])
            digest.update(chunk)
            got += len(chunk)
            wrong = length.isdecimal() and start + int(length) != pin.size
            if got > pin.size or wrong or (start == 0 and got >= _HEAD and _misfit(part)):
                misfit = _misfit(part)
                part.unlink()
                much = f"has {start + int(length):,} bytes" if wrong else f"is longer than {pin.size:,} bytes"
                raise DownloadError(f"{host}: {misfit or f'the file there {much}, expected {pin.size:,}'}: not used")
            progress(got, pin.size)
    return got


def _opened_part(part: Path, start: int) -> IO[bytes]:
    """Open for writing behind its first `start` bytes, with nothing there."""
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        file = os.fdopen(handle, "wb", buffering=0)
        os.ftruncate(handle, start)
        os.lseek(handle, start, os.SEEK_SET)
    except OSError as error:
        raise DiskError(f"{part}: cannot be written: {error.strerror}") from None
    return file


def _write_all(file: IO[bytes], data: bytes) -> None:
    try:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise DiskError(f"{file.name}: cannot be written: {error.strerror}") from None


def _misfit(part: Path) -> str | None:
    """What a file is that is no model."""
    try:
        with part.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "got a Git LFS pointer, not the file that it stands for"
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml)", head, re.IGNORECASE):
        return "got a web page, not a model; is there a login portal?"
    return None
