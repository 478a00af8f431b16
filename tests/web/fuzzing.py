"""Random requests: known paths and parameters with values that nobody would give."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import httpx

from daemon.web.openapi import OPERATIONS

_TEXTS = (
    *(
        "",
        "street",
        "..",
        "%00",
        "a" * 5000,
        "ö",
        "\u202e",
        "<script>",
        "'; DROP",
        "${HOME}",
        "!secret x",
        "<<",
        "0",
        "-1",
    ),
    *("1e999", "null", "../../etc/passwd", "porch", "fps", "default", "\ud800", "\x00"),
)
_NUMBERS = (0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 2**63, 10**400, 1e-320)
_KEYS = (
    "shapes",
    "zones",
    "lines",
    "masks",
    "crop",
    "polygon",
    "points",
    "in",
    "value",
    "password",
    "token",
    "source",
    "x",
)


def _value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(7 if depth < 4 else 5)
    if kind < 2:
        return chance.choice(_NUMBERS)
    if kind < 4:
        return chance.choice(_TEXTS)
    if kind == 4:
        return chance.choice((None, True, False, [], {}))
    if kind == 5:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {chance.choice(_KEYS): _value(chance, depth + 1) for _ in range(chance.randrange(4))}


def _body(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(300))
    value = {chance.choice(_KEYS): _value(chance) for _ in range(chance.randrange(3))}
    text = json.dumps({"shapes": value} if chance.random() < 0.5 else value)
    if chance.random() < 0.05:
        text = "[" * chance.randrange(200_000)
    return text.encode(errors="surrogatepass")


def send(client: httpx.Client, chance: random.Random) -> httpx.Response | None:
    """Sends one; None where it could not even be written down as HTTP."""
    method, path = chance.choice([key for key in OPERATIONS if key != ("DELETE", "session")])
    named = re.sub(r"{\w+}", lambda _: chance.choice(_TEXTS[:12]), path)
    if chance.random() < 0.1:
        method = chance.choice(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"))
        if (method, path) == ("DELETE", "session"):
            return None
    headers = {
        "Content-Type": chance.choice(("application/json", "application/json; charset=utf-8", "text/plain", "")),
        "If-Match": chance.choice(("x", "", '"' * 500, "*")),
    }
    query = {
        chance.choice(("after", "width", "edited", "x")): chance.choice(_TEXTS[:12]) for _ in range(chance.randrange(3))
    }
    try:
        return client.request(method, f"api/{named}", params=query, headers=headers, content=_body(chance))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        return None
