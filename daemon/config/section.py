"""Types that all sections of the configuration share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MISTAKE = "mistake"
"""Type of the configuration's own errors whose message is complete."""
MISTAKEN_VALUE = "mistaken_value"
"""Type of the configuration's own errors whose message is followed by the value."""

NAME_RULE = "must be letters, digits, - and _, up to 64"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", json_schema_extra={"patternErrorMessage": NAME_RULE})]
"""One level of an MQTT topic: no separators, wildcards or spaces."""
Score = Annotated[float, Field(ge=0, le=1)]


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Every = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        pattern=r"^(frame|change|[0-9]+(\.[0-9]+)?)$",
        json_schema_extra={
            "type": ["string", "number"],
            "patternErrorMessage": "must be frame, change or a number of seconds",
        },
    ),
]
"""`frame`, `change`, or seconds as text."""


class Section(BaseModel):
    """The base of all sections."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
