"""A bad network: a TCP proxy on 127.0.0.1 whose connections can be reset, silenced, slowed down and corrupted."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Sequence


class Proxy:
    """Forwards connections to a port of 127.0.0.1 from threads of its own, until it is closed."""

    def __init__(self, target: int, rng: random.Random, rate: int = 4096) -> None:
        """`rate`: bytes a second while it is slow, of both directions together."""
        self._target = target
        self._rng = rng
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.silent = False
        """nothing is forwarded, and connections stay open"""
        self.slow = False
        self.corrupt = False
        """a few bytes of what the server sends are changed"""
        self._resets = 0
        """connections of earlier counts are reset"""
        self._closed = False
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def reset(self) -> None:
        """Ends all connections with a TCP reset."""
        self._resets += 1

    def close(self) -> None:
        """Ends everything."""
        self._closed = True
        self.reset()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                if _readable([self._listener], 0.1):
                    client = self._listener.accept()[0]
                    threading.Thread(target=self._forward, args=(client,), name="proxied", daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        resets = self._resets
        with client:
            try:
                with socket.create_connection(("127.0.0.1", self._target)) as server:
                    while self._resets == resets and self._pass_on(client, server):
                        pass
            except OSError:
                pass  # the server is not there: neither is the connection
            if self._resets != resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """What there is now; whether the connection goes on."""
        if self.silent:
            time.sleep(0.02)
            return True
        for source in _readable([client, server], 0.1):
            data = bytearray(source.recv(self._rate // 4 if self.slow else 65536))
            if not data:
                return False
            if self.corrupt and source is server:
                data[self._rng.randrange(len(data))] ^= 0xFF
            (server if source is client else client).sendall(data)
            if self.slow:
                time.sleep(len(data) / self._rate)
        return True


def _readable(sockets: Sequence[socket.socket], timeout: float) -> list[socket.socket]:
    """Those of `sockets` that have something to read within `timeout` seconds; also above descriptor 1023."""
    with selectors.PollSelector() as selector:  # unlike epoll, it needs no descriptor, which benchmarks count
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        return [one for key, _ in selector.select(timeout) for one in sockets if one is key.fileobj]
