"""The page's end of the daemon's socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from daemon.web.daemon_link import DaemonLink
from daemon.web.known_state import KnownState

HELLO = {"kind": "hello", "version": "0", "device": "box"}


@pytest.mark.parametrize("strange", [b"{}", b"7", b"no JSON", b'{"kind":"zone","zone":"porch"}'])
def test_a_daemon_of_another_version_ends_a_connection_and_not_the_link(tmp_path: Path, strange: bytes) -> None:
    async def connections() -> str:
        came: asyncio.Queue[None] = asyncio.Queue()

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(orjson.dumps(HELLO) + b"\n" + strange + b"\n")
            writer.close()
            await came.put(None)

        known = KnownState()
        async with await asyncio.start_unix_server(greet, tmp_path / "box.sock"):
            running = asyncio.create_task(DaemonLink(tmp_path / "box.sock", known.take).run())
            for _ in range(2):
                await asyncio.wait_for(came.get(), 30)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        daemon = known.one("daemon")
        assert daemon is not None
        return str(daemon["detail"])

    assert "restart both" in asyncio.run(connections())
