"""What every part of the configuration is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MISTAKE = "mistake"
"""Type of the errors that the configuration raises whose message says all."""
MISTAKEN_VALUE = "mistaken_value"
"""Type of the errors that the configuration raises whose message should be followed by the value."""

Score = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """What every part of the configuration shares."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
