"""NVDEC by itself: `python -m tests.benchmarks.nvdec_alone CLIP STREAMS SECONDS` prints frames a second as JSON.

PyAV decodes the same file in so many threads, again and again, and the frames stay on the GPU and are dropped there.
It is a program of its own, so that nothing of it is left when the daemon is measured.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

_WARM_UP = 4.0  # seconds


def nvdec_alone(clip: Path, streams: int, seconds: float) -> dict[str, float]:
    """Frames a second and cores, from such a program."""
    command = [sys.executable, "-m", "tests.benchmarks.nvdec_alone", str(clip), str(streams), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"NVDEC alone cannot be measured: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """See the module."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    clip, streams, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    counts, errors = [0] * streams, list[BaseException]()
    av, hwaccel = (importlib.import_module(name) for name in ("av", "av.codec.hwaccel"))

    def decode(index: int) -> None:
        try:
            use_device()
            hardware = hwaccel.HWAccel(
                "cuda",
                allow_software_fallback=False,
                is_hw_owned=True,
                options={"primary_ctx": "0", "current_ctx": "1"},
            )
            with av.open(clip, hwaccel=hardware) as container:
                stream: Any = container.streams.video[0]
                while True:
                    for _ in container.decode(stream):
                        counts[index] += 1
                    container.seek(0)
        except BaseException as error:  # the main thread tells it
            errors.append(error)

    for index in range(streams):
        threading.Thread(target=decode, args=(index,), daemon=True).start()
    time.sleep(_WARM_UP)
    before, began, spent = sum(counts), time.perf_counter(), time.process_time()
    time.sleep(seconds)
    took = time.perf_counter() - began
    if errors or 0 in counts:
        sys.exit(f"not every stream is decoded: {errors[:1]}")
    cores = (time.process_time() - spent) / took
    print(json.dumps({"fps": round((sum(counts) - before) / took, 1), "cores": round(cores, 2)}), flush=True)
    os._exit(0)  # decoding goes on in the threads, and some libraries crash at exit then


if __name__ == "__main__":
    main()
