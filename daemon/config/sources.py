"""The kinds of sources that a camera may have, told from their text alone: a source may appear after the daemon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from daemon.config.urls import check_place


class SourceKind(str, Enum):
    """How a source is opened: by the module of this name in daemon/capture/sources."""

    GSTREAMER = "gstreamer"
    RTSP = "rtsp"
    HTTP = "http"
    V4L2 = "v4l2"
    PATH = "path"
    """a video file or a folder of pictures; which of them shows only when it is there"""


@dataclass(frozen=True, slots=True)
class _Traits:
    """What the configuration knows of a kind of source."""

    title: str
    """plural, as errors call it"""
    form: re.Pattern[str]
    """of its text; the first kind whose form is found in a source is its kind"""
    settings: frozenset[str]
    """of the keys of a camera that are not for all kinds, those that are for this one"""
    schemes: tuple[str, ...] = ()
    """of its URLs"""
    live: bool = True
    """False: a recording, which has an end"""


def _urls(*schemes: str) -> re.Pattern[str]:
    return re.compile(rf"\A(?:{'|'.join(schemes)})://", re.IGNORECASE)


_DECODED = {"hw_acceleration", "decoder_threads"}
_LOGIN = {"user", "password"}
_RTSP, _HTTP = ("rtsp", "rtsps"), ("http", "https")

# To add a kind, add it here and write its module.
_TRAITS: Mapping[SourceKind, _Traits] = {
    SourceKind.GSTREAMER: _Traits("GStreamer pipelines", re.compile(r"\s!\s"), frozenset({"frozen_after"})),
    SourceKind.RTSP: _Traits(
        "RTSP", _urls(*_RTSP), frozenset({"transport", "frozen_after", *_LOGIN, *_DECODED}), _RTSP
    ),
    SourceKind.HTTP: _Traits("HTTP", _urls(*_HTTP), frozenset({"poll", "frozen_after", *_LOGIN, *_DECODED}), _HTTP),
    SourceKind.V4L2: _Traits(
        "V4L2 devices", re.compile(r"\A(?:\d+\Z|/dev/)"), frozenset({"format", "size", "frozen_after"})
    ),
    SourceKind.PATH: _Traits("files", re.compile(""), frozenset({"pace", "loop", "start", *_DECODED}), live=False),
}

_NO_PATH = re.compile(r"://|\A[A-Za-z][A-Za-z0-9+.-]*:/|\A[^/]*//?[^/]*:[^/]*@|\A[^/]*:[^/]*@")
"""in what is meant as a URL, and may hold a password: with another scheme, a slash too few, or no scheme"""

SPECIFIC_SETTINGS = frozenset().union(*(traits.settings for traits in _TRAITS.values()))
"""keys of a camera that are not for all kinds of sources"""


def source_kind(source: str) -> SourceKind:
    """Raises ValueError for a URL that no source has."""
    kind = next(kind for kind, traits in _TRAITS.items() if traits.form.search(source))
    if kind is SourceKind.PATH and _NO_PATH.search(source):
        *others, last = (f"{scheme}://" for traits in _TRAITS.values() for scheme in traits.schemes)
        raise ValueError(f"a URL must begin with {', '.join(others)} or {last}")
    return kind


def checked_source(source: str) -> str:
    """The source with the scheme of its URL in small letters, as FFmpeg wants it. Raises ValueError."""
    if source_kind(source) not in (SourceKind.RTSP, SourceKind.HTTP):
        return source
    scheme, _, rest = source.partition("://")
    check_place(rest)
    return f"{scheme.lower()}://{rest}"


def has_user(source: str) -> bool:
    """Whether the source is a URL with a user in it."""
    return "@" in re.split(r"[/?#]", source.partition("://")[2], maxsplit=1)[0]


def with_login(source: str, user: str | None, password: str | None) -> str:
    """A URL with user and password in it, whatever characters they have; the source itself without a user."""
    if user is None:
        return source
    scheme, _, rest = source.partition("://")
    login = quote(user, safe="") + ("" if password is None else ":" + quote(password, safe=""))
    return f"{scheme}://{login}@{rest}"


def is_live(source: str) -> bool:
    """Whether the source has no end; False for a recording, which may be read at any pace."""
    return _TRAITS[source_kind(source)].live


def kinds_with(setting: str) -> frozenset[SourceKind]:
    """The kinds of sources that one of SPECIFIC_SETTINGS is for."""
    return frozenset(kind for kind, traits in _TRAITS.items() if setting in traits.settings)


def titles_of(kinds: frozenset[SourceKind]) -> str:
    """As errors call them together, such as `RTSP, HTTP and files`."""
    titles = [traits.title for kind, traits in _TRAITS.items() if kind in kinds]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
