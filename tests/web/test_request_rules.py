"""Who makes a request, as proxies say."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from daemon.config.service import Web
from daemon.web.request_rules import Caller, RequestRules
from daemon.web.sessions import Sessions

PROXY, STRANGER = "192.0.2.1", "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        (STRANGER, ["203.0.113.9"], STRANGER),
        (PROXY, [], PROXY),
        (PROXY, [STRANGER], STRANGER),
        (PROXY, [f"203.0.113.9, {STRANGER}"], STRANGER),
        (PROXY, ["203.0.113.9", STRANGER], STRANGER),
        (PROXY, [f"{STRANGER}, 192.0.2.2"], STRANGER),
        (PROXY, [STRANGER, "192.0.2.2"], STRANGER),
    ],
)
def test_only_what_trusted_proxies_say_of_a_caller_counts(peer: str, forwarded: list[str], address: str) -> None:
    seen: list[Caller] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"]["caller"])

    async def receive() -> Message:
        raise AssertionError("there is no body")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    rules = RequestRules(app, Web(trusted_proxies=("192.0.2.0/24",)), "ospreyd_box", Sessions(), lambda _: True)
    headers = [(b"host", b"127.0.0.1"), *((b"x-forwarded-for", line.encode()) for line in forwarded)]
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "client": (peer, 1), "headers": headers}
    asyncio.run(rules(scope, receive, send))
    assert [caller.address for caller in seen] == [address]
