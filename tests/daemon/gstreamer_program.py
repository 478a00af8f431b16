"""Opens pipelines as the daemon would, in a process whose OpenCV has GStreamer, and prints what each gives."""

from __future__ import annotations

import json
import sys
from typing import Any

from daemon.capture.sources.base import SourceError, untimed
from daemon.capture.sources.gstreamer import open_source
from daemon.config.camera import Camera

MOST = 40
BARS = 7
"""in the upper half of the test picture"""


def look(pipeline: str) -> dict[str, Any]:
    """The colours of the first picture's bars, BGR, and how many pictures there are; or why there are none."""
    try:
        source = open_source(Camera(source=pipeline, open_timeout=60, stall_after=20), untimed)
    except SourceError as error:
        return {"reason": error.reason.value}
    count, image = 0, None
    try:
        while count < MOST:
            source.grab()
            image = source.retrieve(None).host()
            count += 1
    except SourceError as error:
        if image is None:
            return {"reason": error.reason.value, "detail": str(error)}
    finally:
        source.close()
    assert image is not None
    height, width = image.shape[:2]
    bars = [image[height // 4, width * (2 * bar + 1) // (2 * BARS)].tolist() for bar in range(BARS)]
    return {"size": [width, height], "bars": bars, "count": count}


if __name__ == "__main__":
    print(json.dumps([look(pipeline) for pipeline in json.loads(sys.argv[1])]))  # noqa: T201  (its answer)
