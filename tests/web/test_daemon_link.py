"""The page's end of the daemon's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from daemon import __version__
from daemon.web import daemon_link
from daemon.web.answers import Refusal
from daemon.web.daemon_link import DaemonLink
from daemon.web.known_state import KnownState

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
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


@asynccontextmanager
async def linked(folder: Path, serve: Serve) -> AsyncIterator[DaemonLink]:
    """A link that is connected to a daemon that serves like this."""
    link = DaemonLink(folder / "box.sock", lambda *_: None)
    async with await asyncio.start_unix_server(serve, folder / "box.sock"):
        running = asyncio.create_task(link.run())
        while not link.connected:
            await asyncio.sleep(0.01)
        yield link
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_reload_is_waited_for_while_the_daemon_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of it is known at last: else a file that is refused late would stay."""
    monkeypatch.setattr(daemon_link, "_ANSWER_WITHIN", 0.05)
    answers = [{"ok": False, "detail": "refused"}, None]
    """of reloads; None: the daemon ends in place of an answer"""

    async def answered() -> None:
        late = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(orjson.dumps({**HELLO, "version": __version__}) + b"\n")
            async for line in reader:
                asked = orjson.loads(line)
                if asked["do"] == "reload":
                    await late.wait()
                    if (answer := answers.pop(0)) is None:
                        break
                    writer.write(orjson.dumps({"kind": "answer", "id": asked["id"], **answer}) + b"\n")
            writer.close()

        async with linked(tmp_path, serve) as link:
            reload = asyncio.create_task(link.reload())
            with pytest.raises(Refusal, match="has not answered"):
                await link.ask("check", text="")
            assert not reload.done()
            late.set()
            assert (await asyncio.wait_for(reload, 30))["detail"] == "refused"
            with pytest.raises(Refusal) as away:
                await asyncio.wait_for(link.reload(), 30)
            assert away.value.content["error"] == "daemon-away"

    asyncio.run(answered())


def test_what_another_has_asked_is_no_answer(tmp_path: Path) -> None:
    """A reload that an earlier process of the page has begun is answered to the next one."""

    async def answered() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(orjson.dumps({**HELLO, "version": __version__}) + b"\n")
            async for line in reader:
                asked = orjson.loads(line)
                if asked["do"] == "check":
                    for number in (*range(1, 1000), asked["id"]):
                        detail = "ours" if number == asked["id"] > 1000 else "another's"
                        writer.write(orjson.dumps({"kind": "answer", "id": number, "detail": detail}) + b"\n")
            writer.close()

        async with linked(tmp_path, serve) as link:
            assert (await link.ask("check", text=""))["detail"] == "ours"

    asyncio.run(answered())
