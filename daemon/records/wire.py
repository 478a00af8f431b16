"""What fields of messages are made of."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

documented = with_config(ConfigDict(use_attribute_docstrings=True))
"""a message whose fields are described below them"""

Count = Annotated[int, Field(ge=0)]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2026-01-31T12:00:00.250000Z"],
    ),
]


@documented
class Size(TypedDict):
    """The size of a picture."""

    width: Annotated[int, Field(gt=0)]
    """Pixels."""
    height: Annotated[int, Field(gt=0)]
    """Pixels."""


def rfc3339(seconds: float) -> str:
    utc = datetime.fromtimestamp(seconds, timezone.utc)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"  # in place of +00:00
