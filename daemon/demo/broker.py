"""The demonstration's own MQTT broker (amqtt), in a process of its own: `python -m daemon.demo.broker PORT`.

Port 0 is a free one. It prints its port once it listens on it, and ends when its standard input does, so that it
never outlives the demo. A port in use ends it with nothing printed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from amqtt.broker import Broker

_HOST = "127.0.0.1"


async def serve(port: int) -> None:
    """Runs a broker on a port of the loopback interface until standard input ends. Raises OSError for one in use."""
    with socket.create_server((_HOST, port)) as probe:
        port = probe.getsockname()[1]
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{port}", "max_connections": 50}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    try:
        asyncio.run(serve(int(sys.argv[1])))
    except OSError as error:
        sys.exit(f"{error}")
