"""Errors of the daemon package, each with the exit code that it ends the process with.

DaemonError             1  internal failure
└── UsageError          2  a mistake in the command line, the configuration or an input file
    └── ConfigError     2  every problem of one configuration file at once; 3 where only files of models are at fault
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NO_BACKEND = 3


class DaemonError(Exception):
    """A failure that ends the process; the message is one sentence that says how to mend it."""

    exit_code = EXIT_FAILURE


class UsageError(DaemonError):
    """A mistake of the user's, told in one sentence."""

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """A configuration that cannot be used; `problems` holds one complete line for each mistake."""

    def __init__(self, problems: Sequence[str], exit_code: int = EXIT_USAGE) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.exit_code = exit_code
