"""An RTSP server whose stream plays and never brings a frame, as behind a firewall that stops the video."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

_STREAM = "\r\n".join(
    [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=silent",
        "t=0 0",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==",
        "a=control:t0",
        "",
    ]
)
_HEADS = {
    "OPTIONS": ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"],
    "DESCRIBE": ["Content-Type: application/sdp", f"Content-Length: {len(_STREAM)}"],
    "SETUP": ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"],
}


class SilentRtsp:
    """Serves on a free port of 127.0.0.1 as soon as it is made."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/stream"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> SilentRtsp:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:  # closed
                return
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    """Until the client closes its connection."""
    with suppress(ConnectionError), connection, connection.makefile("rw", newline="") as stream:
        while method := stream.readline().partition(" ")[0]:
            sequence = ""
            while line := stream.readline().strip():
                if line.lower().startswith("cseq:"):
                    sequence = line
            body = _STREAM if method == "DESCRIBE" else ""
            head = ["RTSP/1.0 200 OK", sequence, *_HEADS.get(method, ["Session: 1"])]
            stream.write("\r\n".join([*head, "", ""]) + body)
            stream.flush()
