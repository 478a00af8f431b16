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
    """Serves on a free port of 127.0.0.1 as soon as it is made; `refuses` to set streams up, of any transport."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.setups: list[tuple[str, str]] = []
        """URL and transport, tcp or udp, of each stream that a client asked to set up"""
        self._refuses = refuses
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
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Until the client closes its connection."""
        with suppress(ConnectionError), connection, connection.makefile("rw", newline="") as stream:
            while request := stream.readline().split():
                method, url = request[:2]
                fields = {}
                while line := stream.readline().strip():
                    name, _, fields[name.lower()] = line.partition(":")
                status, head, body = "200 OK", _HEADS.get(method, ["Session: 1"]), ""
                if method == "DESCRIBE":
                    body = _STREAM
                elif method == "SETUP":
                    self.setups.append((url, "tcp" if "/TCP" in fields["transport"] else "udp"))
                    status = "461 Unsupported Transport" if self._refuses else status
                answer = [f"RTSP/1.0 {status}", f"CSeq:{fields['cseq']}", *head, "", ""]
                stream.write("\r\n".join(answer) + body)
                stream.flush()
