"""Entry of the command `ospreyd`: runs a command and turns its errors into one sentence and an exit code."""

from __future__ import annotations

import sys

try:
    import cv2  # noqa: F401  first of all, because its missing system libraries are the commonest broken set-up
except ImportError as error:
    sys.exit(
        f"ospreyd: OpenCV cannot be loaded ({error}); on Debian or Ubuntu run: apt-get install libgl1 libglib2.0-0"
    )

from daemon.cli.main import run_cli


def main() -> None:
    """Runs the command line and exits with its code."""
    sys.exit(run_cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
