"""Everything that the main link subscribes to: commands, other formats' topics, and perhaps the device's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from daemon.mqtt.incoming import Received, Subscription
from daemon.publish.formats.fanout import Formats
from daemon.publish.read_back import ReadBack


def subscription_of(
    commands: Subscription,
    formats: Formats,
    read_back: ReadBack,
    echo: Callable[[Received], object],
    adopt: Callable[[tuple[str, ...]], object],
) -> Subscription:
    """`echo` gets messages of formats that come back, `adopt` topics that an earlier run has retained."""

    def handle(message: Received) -> None:
        if formats.is_echo(message.topic):
            echo(message)
        elif not read_back.matches(message.topic):
            commands.handle(message)
        elif message.retained:
            adopt(read_back.topics(message.topic))

    patterns = *commands.patterns, *formats.patterns
    return replace(commands, patterns=patterns, handle=handle, once=read_back.patterns)
