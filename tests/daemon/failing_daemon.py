"""The daemon with a mistake: `python -m tests.daemon.failing_daemon run CONFIG`.

While there is a file FAIL beside the configuration, applying a configuration raises KeyError half-way, once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from unittest.mock import patch

from daemon.__main__ import main
from daemon.config.schema import Config
from daemon.publish.publisher import Publisher

FAIL = "fail"


def _configure(publisher: Publisher, config: Config, configure: Callable[[Publisher, Config], None]) -> None:
    mark = Path(sys.argv[-1]).with_name(FAIL)
    if mark.exists():
        mark.unlink()
        raise KeyError("a mistake")
    configure(publisher, config)


if __name__ == "__main__":
    with patch.object(Publisher, "configure", partialmethod(_configure, configure=Publisher.configure)):
        main()
