"""Shows sources without their credentials, wherever in them those stand and whatever characters they have.

A password may hold the very characters that end it in a URL. Where a URL can be read in two ways, what is a host in one
of them may be a part of the password in the other, so neither is shown.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*:/+"
_URL = re.compile(rf"\s*({_SCHEME})([^/?#]*)(.*)", re.DOTALL)
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+)(?::\d{1,5})?")
_SEGMENT = re.compile(r"/[\w.~+,-]*(?=[/?#]|\Z)")
_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|auth")
_RANDOM = re.compile(
    r"(?=[A-Za-z0-9]{10})(?:[0-9]+[A-Za-z]+[0-9]+[A-Za-z]|[A-Za-z]+[0-9]+[A-Za-z]+[0-9])|(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20}"
)
"""in a part of a path: nobody names a channel so"""
_LOGIN = re.compile(r":.*@", re.DOTALL)
_PIPELINE = re.compile(r"\s!\s")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.DOTALL)
_ELEMENT = re.compile(r"[a-z][a-z0-9_]*")

# In free text, of which nobody knows where a URL ends:
_TEXT_LOGIN = re.compile(rf"({_SCHEME})(?:\S*@|[^/:@\s]*:(?!\d+(?:[/\s:,;.)]|$))(?!\s).*@)")
_TEXT_URL = re.compile(rf"{_SCHEME}[^\s\"'<>]+")
_TEXT_NAMED = re.compile(
    r"(?i)\b([\w-]*(?:pass|password|passwd|pwd|pw|pas|token|secret|auth|[\w-]key|\bkey)=)(?:\"[^\"]*\"|[^&\s\"']+)"
)


def shown_source(source: str) -> str:
    """A camera's source, or another value as a whole, fit for messages.

    Of a URL scheme, host, port and its path up to what may be a secret are left, and only the scheme where it is not
    certain which part is the host; of a GStreamer pipeline its first and last element.
    """
    if _PIPELINE.search(source):
        return _shown_pipeline(source)
    if (url := _URL.fullmatch(source)) is None:
        return HIDDEN if _LOGIN.search(source) or "://" in source else _TEXT_NAMED.sub(rf"\1{HIDDEN}", source)
    if not url[2] + url[3]:
        return source
    scheme = url[1].rstrip("/") + "//"
    place = place_of(source)
    if place is None:
        return scheme + HIDDEN
    path = ""
    while (segment := _SEGMENT.match(url[3], len(path))) and not _may_be_secret(segment[0]):
        path += segment[0]
    return scheme + place + path + ("" if path == url[3] else f"?{HIDDEN}")


def _may_be_secret(segment: str) -> bool:
    return bool(_SECRET.search(segment) or _RANDOM.search(segment))


def place_of(url: str) -> str | None:
    """Host and port of a URL as they are written in it; None where they may be a part of its credentials."""
    found = _URL.fullmatch(url)
    if found is None or "@" in found[3]:
        return None
    place = found[2].rpartition("@")[2]
    return place if _PLACE.fullmatch(place) else None


def without_credentials(text: str) -> str:
    """Free text, such as a line of the log, without what looks like the credentials of a URL or a pipeline in it."""
    text = _TEXT_LOGIN.sub(r"\1", text)
    return _TEXT_NAMED.sub(rf"\1{HIDDEN}", _TEXT_URL.sub(_shown_in_text, text))


def _shown_in_text(url: re.Match[str]) -> str:
    bare = url[0].rstrip(".,;:)]}…")
    return shown_source(bare) + url[0][len(bare) :]


def _shown_pipeline(source: str) -> str:
    elements = _PIPELINE.split(_QUOTED.sub("", source))
    words = [words[0] if (words := element.split()) else "" for element in (elements[0], elements[-1])]
    first, last = (word if _ELEMENT.fullmatch(word) else HIDDEN for word in words)
    return f"{first} … ! {last}"
