"""The configuration of the formats that are published beside our own."""

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
    """What readers of Frigate's messages understand."""

    prefix: TopicName = Field(
        "frigate", description="topics begin with this; give each device its own where several share a broker"
    )


class DeepStream(Section):
    """What readers of DeepStream's minimal payload understand."""

    topic: TopicName | None = Field(
        None, description="where the messages of all cameras go; default: `<mqtt.prefix>/<device>/deepstream`"
    )


class HomeAssistant(Section):
    """Entities that Home Assistant finds by itself."""

    prefix: TopicName = Field("homeassistant", description="its discovery prefix")


class Formats(Section):
    """Each is off where it is not given; {} switches it on."""

    frigate: Frigate | None = Field(
        None, description="events, counts, snapshots and detect/set as Frigate has them; default: off"
    )
    deepstream: DeepStream | None = Field(
        None, description="each published frame as DeepStream's minimal payload; default: off"
    )
    homeassistant: HomeAssistant | None = Field(None, description="discovery for Home Assistant; default: off")
