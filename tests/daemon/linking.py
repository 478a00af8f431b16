"""A link to a broker that runs for one test, and what it told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from daemon.config.mqtt import Mqtt
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.link import Link, LinkState
from daemon.mqtt.outgoing import Presence
from daemon.mqtt.topics import Topic
from tests.conftest import wait_for
from tests.daemon.publishing import no_thread_left
from tests.servers.mosquitto import HOST


class Recorded:
    """A link that runs, and every state that it told."""

    def __init__(self, config: Mqtt, *patterns: str, once: tuple[str, ...] = ()) -> None:
        """`patterns`: topic filters that it subscribes to, `once`: those for the first connection."""
        self.received: list[Received] = []
        self.states: list[LinkState] = []
        self.failures: list[BaseException] = []
        presence = Presence(Topic("gate/status"), b"online", b"offline")
        subscription = Subscription(patterns, self.received.append, 100, once) if patterns else None
        self.link = Link(
            config, config.client("gate"), presence, self.states.append, self.failures.append, subscription
        )

    def wait_connected(self) -> str:
        wait_for(lambda: self.link.state.connected, "the connection")
        return self.link.state.detail

    def wait_refused(self) -> str:
        """Waits until an attempt has failed, and returns how."""
        wait_for(lambda: self.states, "the end of an attempt")
        assert not self.states[0].connected
        return self.states[0].detail


@contextmanager
def linked(port: int, *patterns: str, **mqtt: object) -> Iterator[Recorded]:
    """A link to a broker on this machine, subscribed, with its presence on `gate/status`; of the device `gate`."""
    with running(Recorded(Mqtt.model_validate({"host": HOST, "port": port} | mqtt), *patterns)) as recorded:
        yield recorded


@contextmanager
def running(recorded: Recorded) -> Iterator[Recorded]:
    """Started, and stopped at the end; it must not fail."""
    with no_thread_left():
        recorded.link.start()
        try:
            yield recorded
        finally:
            recorded.link.stop(5)
    assert not recorded.failures
