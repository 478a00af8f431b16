"""Whether a URL has a host and a port that can be connected to; told from its text alone."""

from __future__ import annotations

import re
import socket
from ipaddress import AddressValueError, IPv6Address

NO_HOST = (
    "the URL has no valid host and port; write special characters of its user and password as %XX (%40 for @, %2F for "
    "/, %3F for ?, %23 for #), or give them as `user` and `password` of the camera"
)

_PLACE = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?P<port>:.*)?", re.DOTALL)
_LABEL = re.compile(r"[\w-]{1,63}")


def check_place(rest: str) -> None:
    """Takes a URL without its scheme. Raises ValueError with what is wrong with its host and port."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    place = authority.rpartition("@")[2]
    if not place.partition(":")[0] and not is_ipv6(place):
        raise ValueError("the URL has no host")
    if any(map(is_ipv6, (place, place.rpartition(":")[0]))):
        raise ValueError("an IPv6 address in a URL needs brackets, such as rtsp://[2001:db8::7]:554/stream")
    found = _PLACE.fullmatch(place)
    if found is None or not (is_ipv6(found["ipv6"]) if found["ipv6"] is not None else _is_name(found["name"])):
        raise ValueError(NO_HOST)
    if (port := found["port"]) is not None and not _is_port(port[1:]):
        may_be_password = "@" in rest[len(authority) :]
        raise ValueError(NO_HOST if may_be_password else "the port of the URL must be a number from 1 to 65535")


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, without brackets."""
    try:
        IPv6Address(text.partition("%")[0])
    except AddressValueError:
        return False
    return True


def _is_name(name: str) -> bool:
    """Of a host, or an IPv4 address. Letters may be of any language, and underscores are in use."""
    *labels, last = name.removesuffix(".").split(".")
    if last.isdecimal():
        return _is_ipv4(name)
    return all(map(_LABEL.fullmatch, (*labels, last)))


def _is_ipv4(text: str) -> bool:
    try:
        socket.inet_aton(text)
    except (OSError, UnicodeError):
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535
