"""What a capture process for each camera costs against a thread for each: frames/s, CPU time and memory.

`python -m tests.benchmarks.containment VIDEO --cameras 4 --seconds 8` decodes the file once for each camera, as fast as
it goes. In both ways a thread of the main process takes note of each frame; the processes give theirs in shared memory.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera

_BUFFERS = 4


def decode(video: str, frame: Callable[[Any], Any]) -> None:
    """Calls `frame` with each open source that has grabbed one, until it returns False."""
    source = open_source(Camera(source=video, loop=True))
    source.grab()
    while frame(source) is not False:
        source.grab()
    source.close()


def in_thread(video: str, count: list[int], index: int, stop: threading.Event) -> None:
    """One camera as a thread."""
    images: list[Any] = [None] * _BUFFERS

    def frame(source: Any) -> bool:
        slot = count[index] % _BUFFERS
        images[slot] = source.retrieve(images[slot]).host()
        count[index] += 1
        return not stop.is_set()

    decode(video, frame)


def in_process(video: str, name: str, shape: tuple[int, ...], pipe: Connection) -> None:
    """One camera as a process: pictures go into shared memory, the number of the buffer through the pipe."""
    memory = SharedMemory(name)
    size = math.prod(shape)
    images = [np.ndarray(shape, np.uint8, memory.buf, slot * size) for slot in range(_BUFFERS)]
    number = 0

    def frame(source: Any) -> None:
        nonlocal number
        slot = number % _BUFFERS
        source.retrieve(images[slot])
        number += 1
        pipe.send((slot, time.monotonic()))

    decode(video, frame)


def listen(pipe: Connection, count: list[int], index: int) -> None:
    """The thread of the main process that takes the frames of one capture process."""
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        count[index] += 1


def measure(count: list[int], pids: list[int], seconds: float) -> dict[str, float]:
    """Rates over `seconds`, and memory at their end, of this process and the others."""
    before, cpu, began = sum(count), _cpu(pids), time.monotonic()
    time.sleep(seconds)
    frames, took = sum(count) - before, time.monotonic() - began
    return {
        "frames_per_s": round(frames / took, 1),
        "cpu_ms_per_frame": round((_cpu(pids) - cpu) / frames * 1000, 2),
        "memory_mb": round(sum(map(_pss, pids)) / 1024, 1),
    }


def threads(video: str, cameras: int, seconds: float) -> dict[str, float]:
    """Measures with a thread for each camera."""
    count, stop = [0] * cameras, threading.Event()
    running = [threading.Thread(target=in_thread, args=(video, count, n, stop)) for n in range(cameras)]
    for thread in running:
        thread.start()
    _wait_for_all(count)
    result = measure(count, [os.getpid()], seconds)
    stop.set()
    for thread in running:
        thread.join()
    return result


def processes(video: str, cameras: int, seconds: float) -> dict[str, float]:
    """Measures with a process for each camera."""
    source = open_source(Camera(source=video))
    source.grab()
    shape = source.retrieve(None).host().shape
    source.close()
    context, count = get_context("spawn"), [0] * cameras
    began = time.monotonic()
    memories = [SharedMemory(create=True, size=_BUFFERS * math.prod(shape)) for _ in range(cameras)]
    running = []
    for n in range(cameras):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=in_process, args=(video, memories[n].name, shape, theirs), daemon=True)
        process.start()
        theirs.close()
        threading.Thread(target=listen, args=(ours, count, n), daemon=True).start()
        running.append(process)
    _wait_for_all(count)
    ready = time.monotonic() - began
    result = measure(count, [os.getpid(), *(p.pid or 0 for p in running)], seconds)
    for process in running:
        process.kill()
        process.join()
    for memory in memories:
        memory.unlink()
    return {**result, "start_s": round(ready, 2)}


def _wait_for_all(count: list[int]) -> None:
    while not all(count):
        time.sleep(0.01)


def _cpu(pids: list[int]) -> float:
    """CPU seconds that the processes have used."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split() for pid in pids)
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


def _pss(pid: int) -> int:
    """KiB of memory, what is shared divided among those who share it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("\nPss:")[1].split()[0])


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for number in range(options.rounds):
        for way in (threads, processes):
            result = way(options.video, options.cameras, options.seconds)
            print(json.dumps({"way": way.__name__, "cameras": options.cameras, "round": number, **result}), flush=True)


if __name__ == "__main__":
    main()
