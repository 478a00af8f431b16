"""What is answered over HTTP: JSON, errors with a code and a sentence, and bodies within bounds."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

LARGEST_BODY = 256 << 10  # bytes
_NOT_STORED = {"Cache-Control": "no-store"}

Body = TypeVar("Body", bound=BaseModel)


class Given(BaseModel):
    """The base of what is given in a body."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer that is not what was asked for."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.content = {"error": code, "detail": detail, **more}

    def response(self) -> Response:
        """The same, to be sent."""
        return answer(self.content, self.status, self.headers)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that no browser stores."""
    data = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
    return Response(data, status, {**_NOT_STORED, **(headers or {})}, "application/json")


def picture(jpeg: bytes, headers: dict[str, str] | None = None) -> Response:
    """A JPEG that no browser stores."""
    return Response(jpeg, 200, {**_NOT_STORED, **(headers or {})}, "image/jpeg")


async def body(request: Request, shape: type[Body]) -> Body:
    """What was given. Raises Refusal."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "not-json", "the body must be application/json")
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > LARGEST_BODY:
            raise Refusal(413, "too-large", f"the body is larger than {LARGEST_BODY >> 10} KiB")
    try:
        return shape.model_validate_json(bytes(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise Refusal(422, "invalid", f"{where}: {first['msg']}") from None


def number(request: Request, name: str, default: int, most: int = 2**53) -> int:
    """A whole number in the query. Raises Refusal."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most):
        raise Refusal(422, "invalid", f"{name} must be a whole number from 0 to {most}")
    return int(text)


def moment(seconds: float | None = None) -> str:
    """A time in UTC, seconds since the epoch, as messages write it; default: now."""
    utc = datetime.fromtimestamp(time.time() if seconds is None else seconds, timezone.utc)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"
