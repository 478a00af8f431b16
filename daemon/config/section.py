"""Types that all sections of the configuration share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

MISTAKE = "mistake"
"""Type of the configuration's own errors whose message is complete."""
MISTAKEN_VALUE = "mistaken_value"
"""Type of the configuration's own errors whose message is followed by the value."""
SHORT_FORM = "shortForm"
"""In a section's schema: what text in place of the section means."""

NAME_RULE = "must be letters, digits, - and _, up to 64"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", json_schema_extra={"patternErrorMessage": NAME_RULE})]
"""One level of an MQTT topic: no separators, wildcards or spaces."""
_URL_OF_HOST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/+(?:[^@]*@)?([\w.-]+|\[[0-9A-Fa-f:.]+\])?")


def _is_host(host: str) -> str:
    """A name or an address alone. The value is not repeated: a URL may hold a password."""
    if (url := _URL_OF_HOST.match(host)) is not None:
        alone = f" ({url[2]})" if url[2] and "@" not in host else ""
        raise PydanticCustomError(
            MISTAKE,
            "must be a host name or address alone{alone}, not a URL; its port is the key `port`, encryption is "
            "`tls: {{}}`",
            {"alone": alone},
        )
    if re.fullmatch(r"\[[0-9A-Fa-f:.]+\](?::\d+)?|[^:]+:\d+", host):
        raise PydanticCustomError(MISTAKE, "must be a host alone: its port is the key `port`, IPv6 has no brackets")
    if not re.fullmatch(r"[\w.-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?", host):
        raise PydanticCustomError(MISTAKE, "must be a host name or address, without spaces, / and @")
    return host


Host = Annotated[str, Field(min_length=1), AfterValidator(_is_host)]
"""name or address, without scheme and port"""
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
