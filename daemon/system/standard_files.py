"""Standard input, output and error, which may be closed or full."""

from __future__ import annotations

import errno
import io
import os
import sys

from daemon.errors import EXIT_FAILURE, EXIT_OK, DaemonError
from daemon.system.logs import say_error


class _Output(io.TextIOWrapper):
    """Standard output; what cannot be written is reported in one sentence."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _told(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _told(error) from None


def open_standard_files() -> None:
    """Opens those that are closed on /dev/null, and has standard output raise DaemonError where it is full.

    Else the first files that the process opens would get the numbers of those that are closed, and what a library says
    on standard error would be written into the outbox. To be called before files are opened that stay open.
    """
    number = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    out = sys.stdout
    if out is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    elif isinstance(out, io.TextIOWrapper):
        lines, through = out.line_buffering, out.write_through
        sys.stdout = _Output(out.buffer, out.encoding, out.errors, line_buffering=lines, write_through=through)


def finish_output(code: int) -> int:
    """Writes what waits for standard output; the exit code, which is no longer 0 where that fails."""
    try:
        sys.stdout.flush()
    except (OSError, DaemonError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what still waits is given up, not tried again at the exit
        if code == EXIT_OK and not isinstance(error, BrokenPipeError):
            say_error(f"ospreyd: {error}")
        return code or EXIT_FAILURE
    return code


def _told(error: OSError) -> Exception:
    """A reader that has seen enough is nobody's mistake: that one is raised as it is."""
    if error.errno == errno.EPIPE:
        return error
    return DaemonError(f"standard output cannot be written: {error.strerror}")
