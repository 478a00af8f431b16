"""The page's process with pings every half a second in place of 20 s."""

from __future__ import annotations

from daemon.__main__ import main
from daemon.web import serving

if __name__ == "__main__":
    serving._PING = 0.5
    main()
