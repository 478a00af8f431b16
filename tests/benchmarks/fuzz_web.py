"""Random requests to the page of a running daemon: `python -m tests.benchmarks.fuzz_web --requests 10000`."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers.mosquitto import Mosquitto
from tests.web.fuzzing import send
from tests.web.running import folders, page, web_box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance, counts = random.Random(given.seed), Counter[int]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with folders(folder), Mosquitto(folder) as broker:
            video = film(Shot("street", 320, 240, 5.0, seed=21), folder / "street.mp4", 2.0).file
            document = web_box(broker, {"street": {"source": str(video), "loop": True}})
            with daemon(folder, document) as process, page(folder, document) as web, web.client() as client:
                wait_for(lambda: client.get("api/state").json()["cameras"], "the daemon", 60)
                began = time.monotonic()
                for _ in range(given.requests):
                    if (answer := send(client, chance)) is not None:
                        counts[answer.status_code] += 1
                took = time.monotonic() - began
                logs = web.log + (folder / "log").read_text()
                print(f"{sum(counts.values())} requests in {took:.0f} s: {dict(sorted(counts.items()))}")
                print(f"tracebacks {logs.count('Traceback')}, daemon runs: {process.poll() is None}")


if __name__ == "__main__":
    main()
