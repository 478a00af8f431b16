"""A clock that jumps for one process only, with libfaketime; its monotonic clock goes on."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import missing

_PLACES = "*/faketime/libfaketimeMT.so.1"  # below /usr/lib, where Debian's package puts it


class Clock:
    """What a process sees as the time of day. The test skips where libfaketime is not installed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")
        library = next(Path("/usr/lib").glob(_PLACES), None)
        if library is None:
            missing("libfaketime", "apt-get install -y faketime")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",  # it is read whenever somebody asks for the time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        """of the process"""

    def set(self, offset: str) -> None:
        """The time of day is `offset` (+30d, -2h) from the true one, from now on."""
        self._file.with_suffix(".new").write_text(offset)
        self._file.with_suffix(".new").rename(self._file)
