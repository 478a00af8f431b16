"""What the statuses mean that servers of cameras answer with instead of video."""

from __future__ import annotations

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.server import Server
from daemon.records import Reason

_TOO_MANY = (
    Reason.REFUSED,
    "has too many viewers; close other programs that show this camera, or let it serve more of them",
)
_FORBIDDEN = (Reason.UNAUTHORIZED, "forbids this stream; check what the user of the source may see")
_NO_STREAM = (Reason.NOT_FOUND, "has no such stream; check the path of the source")
_FAILED = (Reason.NO_VIDEO, "reports a failure of its own; restart it")
_NOT_UNDERSTOOD = (Reason.NO_VIDEO, "does not understand the request; check the path of the source")
_BEHIND = (Reason.NO_VIDEO, "gets no answer from the camera behind it; check that camera")

_BOTH = {
    400: _NOT_UNDERSTOOD,
    401: (Reason.UNAUTHORIZED, "does not accept the user and password of the source"),
    403: _FORBIDDEN,
    404: _NO_STREAM,
    405: (Reason.NO_VIDEO, "serves no video at this path; check the path of the source"),
    410: (Reason.NOT_FOUND, "no longer has this stream; check the path of the source"),
    500: _FAILED,
    501: _FAILED,
    502: _BEHIND,
    503: _TOO_MANY,
    504: _BEHIND,
}
_RTSP = {
    **_BOTH,
    415: (Reason.NO_VIDEO, "has no video of a kind that it can send; check the codec in the camera's settings"),
    451: _NOT_UNDERSTOOD,
    453: _TOO_MANY,
    454: (Reason.REFUSED, "ends the session at once; it may have too many viewers, or need a restart"),
    457: _NOT_UNDERSTOOD,
    503: _TOO_MANY,
    505: (Reason.UNSUPPORTED, "does not speak RTSP 1.0, which OpenCV does"),
    551: (Reason.UNSUPPORTED, "wants an option of RTSP that OpenCV does not have"),
}
_HTTP = {
    **_BOTH,
    407: (Reason.UNAUTHORIZED, "is a proxy that asks for a user and password; take it out of the way of the camera"),
    429: _TOO_MANY,
    505: (Reason.UNSUPPORTED, "does not speak HTTP 1.1"),
}


def meaning(server: Server, status: int, transport: str = "tcp") -> SourceError:
    """What it means that the server answers with a status of 300 or more."""
    rtsp = server.scheme.startswith("rtsp")
    reason, detail = (_RTSP if rtsp else _HTTP).get(
        status, (Reason.NO_VIDEO, f"answers with status {status} and no video")
    )
    if status == 401 and server.user is None:
        detail = "asks for a user and password; give them as `user` and `password` of the camera"
    elif status == 461:
        other = "tcp" if transport == "udp" else "udp"
        reason, detail = Reason.UNSUPPORTED, f"does not send over {transport.upper()}; set `transport: {other}`"
    return SourceError(reason, f"{server} {detail}")


def redirected(by: Server, to: Server, error: SourceError) -> SourceError:
    """What is wrong where a server redirects to."""
    return SourceError(error.reason, f"{by} redirects to {to}: {error}")
