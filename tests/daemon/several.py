"""Several commands of `ospreyd` one after the other in one process, which is started once for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT


def commands(folder: Path, *arguments: Sequence[str], **environment: str) -> list[subprocess.CompletedProcess[str]]:
    """What each of the commands with these arguments gives, run in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.daemon.several", json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert "Traceback" not in done.stdout
    return [subprocess.CompletedProcess(*one) for one in json.loads(done.stdout)]


def main() -> None:
    import daemon.__main__  # noqa: F401, PLC0415  sets what libraries read, as for a user
    from daemon.cli.main import run_cli  # noqa: PLC0415

    found = []
    for arguments in json.loads(sys.argv[1]):
        kept = [os.dup(number) for number in (1, 2)]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            for number, file in ((1, out), (2, err)):
                os.dup2(file.fileno(), number)
            code = run_cli(arguments)
            for number, stream in ((1, sys.stdout), (2, sys.stderr)):
                stream.flush()
                os.dup2(kept[number - 1], number)
                os.close(kept[number - 1])
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())
        found.append((arguments, code, *texts))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
