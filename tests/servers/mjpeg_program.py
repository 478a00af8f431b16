"""MjpegServer as a program: `python -m tests.servers.mjpeg_program --port P --size WxH --fps N` serves until killed."""

from __future__ import annotations

import argparse
import threading

import cv2

from tests.daemon.capturing import pictures
from tests.servers.mjpeg import MjpegServer


def main() -> None:
    """Prints the port when it is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT, pixels")
    parser.add_argument("--fps", type=float, default=25.0)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(25, width, height)]
    with MjpegServer(jpegs, options.fps, port=options.port) as server:
        print(server.port, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
