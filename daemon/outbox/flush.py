"""Sends the events of an outbox while no daemon runs."""

from __future__ import annotations

import threading
import time

from daemon.config.schema import Config
from daemon.errors import DaemonError
from daemon.mqtt.link import Link, LinkState
from daemon.mqtt.outgoing import Delivery, DeliveryCallbacks, Refusal
from daemon.outbox.opened import opened_outbox, read_status
from daemon.outbox.sender import OutboxSender
from daemon.outbox.store import outbox_path


def flush(config: Config, seconds: float) -> tuple[int, int]:
    """Sends for so many seconds at most; how many events the broker has acknowledged, and how many are left.

    Raises UsageError if a daemon uses the outbox, and DaemonError if the broker cannot be reached in that time.
    """
    deadline = time.monotonic() + seconds
    path = outbox_path(config.mqtt.outbox, config.device)
    connected = threading.Event()
    failures: list[BaseException] = []

    def link_changed(state: LinkState) -> None:
        sender.link_changed(state.connected)
        if state.connected:
            connected.set()

    def acknowledged(delivery: Delivery, refusal: Refusal | None) -> None:
        sender.acknowledged(delivery, refusal)

    link = Link(
        config.mqtt,
        client_id=config.mqtt.client(config.device),
        presence=None,  # the daemon is not running
        on_state=link_changed,
        on_fatal=failures.append,
        callbacks=DeliveryCallbacks(acknowledged, lambda: sender.is_awaiting),
    )
    with opened_outbox(path, config.mqtt.outbox):
        pass  # nothing can be sent where it cannot be used
    sender = OutboxSender(path, config.mqtt.outbox, link.deliver, failures.append)
    before = read_status(path).waiting
    sender.start()
    if before:
        link.start()
        reached = connected.wait(seconds)
        why = link.state.detail
        sender.stop(max(0.0, deadline - time.monotonic()) if reached else 0.0)
        link.stop(1.0)
        if failures:
            raise DaemonError(f"the events could not be sent: {failures[0]}")
        if not reached:
            raise DaemonError(f"no event was sent, {before} are waiting: {why}")
    else:
        sender.stop(0.0)
    left = read_status(path).waiting
    return before - left, left
