"""The configuration of other systems' formats, by the names of their modules in daemon/publish/formats."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from daemon.config.section import Section

TopicName = Annotated[
    str,
    Field(
        pattern=r"^[^$+#\s/\x00-\x1f]+(/[^$+#\s/\x00-\x1f]+)*$",
        json_schema_extra={
            "patternErrorMessage": "must be topic levels with / between them, without spaces, $, + and #"
        },
    ),
]


class Frigate(Section):
    """Frigate's messages."""

    prefix: TopicName = Field(
        "frigate", description="first levels of its topics; give each device its own where several share a broker"
    )


class DeepStream(Section):
    """DeepStream's minimal payload."""

    topic: TopicName | None = Field(
        None, description="topic of the messages of all cameras; default: `<mqtt.prefix>/<device>/deepstream`"
    )


class HomeAssistant(Section):
    """Home Assistant's discovery."""

    prefix: TopicName = Field("homeassistant", description="its discovery prefix")


class Formats(Section):
    """Each is off unless it is given; {} enables it."""

    frigate: Frigate | None = Field(
        None, description="events, counts, snapshots and detect/set as Frigate has them; default: off"
    )
    deepstream: DeepStream | None = Field(
        None, description="each published frame as DeepStream's minimal payload; default: off"
    )
    homeassistant: HomeAssistant | None = Field(None, description="discovery for Home Assistant; default: off")
