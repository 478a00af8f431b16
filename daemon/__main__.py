"""Entry of the command `ospreyd`: runs a command and turns its errors into one sentence and an exit code."""

from __future__ import annotations

import logging
import os
import sys

from daemon.doctor.packages import refusal

if (said := refusal()) is not None:  # before anything else, because what fails later would not name the reason
    sys.stderr.write(f"ospreyd: {said}\n")
    sys.exit(2)

# Libraries read these when they are loaded; child processes inherit them. ONNX Runtime 1.29 and later sends reports to
# its maker unless told not to, and TensorRT for RTX computes FP32 with TF32's ten bits whatever its builder is set to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

try:
    import cv2  # noqa: F401  early, because its missing system libraries are the commonest broken set-up
except ImportError as error:
    sys.exit(
        f"ospreyd: OpenCV cannot be loaded ({error}); on Debian or Ubuntu run: apt-get install libgl1 libglib2.0-0"
    )

import daemon.system.quiet_opencv  # noqa: F401  for all commands
from daemon.cli.main import run_cli
from daemon.system.standard_files import finish_output, open_standard_files


def main() -> None:
    """Runs the command line and exits with its code."""
    open_standard_files()
    code = finish_output(run_cli(sys.argv[1:]))
    # Nothing is left to do. A thread that hangs in a driver cannot be ended, one that comes back from C code while the
    # interpreter takes itself apart aborts the process, and so may what is left of a GPU's context after a failure;
    # where all goes well, it takes a fifth of a second of CPU time.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main()
