"""Basic and Digest logins to cameras, RFC 7616 and 7617."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.capture.sources.server import Server

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_NEXT_CHALLENGE = re.compile(r"(?i)(?:\A|,)\s*(?=(?:basic|digest)\s)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way of logging in that a server offers."""

    digest: bool
    """False: basic"""
    fields: Mapping[str, str]
    """names in small letters"""

    @property
    def algorithm(self) -> str:
        """As the server writes it; MD5 where it does not."""
        return self.fields.get("algorithm") or "MD5"

    @property
    def is_known(self) -> bool:
        """Whether `authorization` can answer it."""
        return not self.digest or self.algorithm.upper().removesuffix("-SESS") in _HASHES


def challenges_in(headers: Sequence[str]) -> list[Challenge]:
    """Those in the values of WWW-Authenticate, each of which may hold several; ways of other kinds are left out."""
    found = []
    for text in (part for header in headers for part in _NEXT_CHALLENGE.split(header)):
        way, _, rest = text.strip().partition(" ")
        if way.lower() in ("basic", "digest"):
            fields = re.findall(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]*))', rest)
            found.append(
                Challenge(way.lower() == "digest", {n.lower(): quoted or plain for n, quoted, plain in fields})
            )
    return found


def authorization(server: Server, challenge: Challenge, method: str, uri: str) -> str:
    """The value of Authorization that answers a challenge, which must be known."""
    if not challenge.digest:
        return "Basic " + base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
    fields = challenge.fields
    realm, nonce, own = fields.get("realm", ""), fields.get("nonce", ""), secrets.token_hex(8)
    algorithm = challenge.algorithm.upper()

    def hashed(text: str) -> str:
        name = _HASHES[algorithm.removesuffix("-SESS")]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    who, what = hashed(f"{server.user}:{realm}:{server.password}"), hashed(f"{method}:{uri}")
    if algorithm.endswith("-SESS"):
        who = hashed(f"{who}:{nonce}:{own}")
    said = f'username="{server.user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if opaque := fields.get("opaque"):
        said += f', opaque="{opaque}"'
    if "algorithm" in fields:
        said += f", algorithm={fields['algorithm']}"
    if "qop" not in fields:
        ours = f', cnonce="{own}"' if algorithm.endswith("-SESS") else ""
        return f'Digest {said}{ours}, response="{hashed(f"{who}:{nonce}:{what}")}"'
    response = hashed(f"{who}:{nonce}:00000001:{own}:auth:{what}")
    return f'Digest {said}, qop=auth, nc=00000001, cnonce="{own}", response="{response}"'
