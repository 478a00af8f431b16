"""RTSP for any number of clients, each with its own clock, from one H.264 file that is neither decoded nor encoded.

`python -m tests.servers.rtsp_cameras CLIP` prints its port when it is ready. Over TCP, without login; the file is
played again and again at its rate, from its beginning for each client: the clients' frames come at different times.
"""

from __future__ import annotations

import asyncio
import importlib
import struct
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CLOCK = 90_000  # RTP ticks a second
_PAYLOAD_TYPE = 96
_LARGEST = 1400  # bytes of video in a packet
_FRAGMENT = 28  # FU-A
_HEADER = struct.Struct(">BxHBBHII")  # of an interleaved RTP packet
_BEHIND = 8_000_000  # bytes that a client has not taken; frames are left out then, as a camera does


class RtspCameras:
    """The program as a child process, ready when made."""

    def __init__(self, clip: Path) -> None:
        command = [sys.executable, "-m", "tests.servers.rtsp_cameras", str(clip)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready:
            raise RuntimeError(f"no RTSP server for {clip}: its output says why")
        self._port = int(ready)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def url(self) -> str:
        """Of the stream."""
        return f"rtsp://127.0.0.1:{self._port}/stream"

    def __enter__(self) -> RtspCameras:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class _Frame:
    packets: tuple[bytes, ...]
    """payloads of RTP"""
    ticks: int
    """of its time stamp, from the first frame's"""


@dataclass(frozen=True)
class _Film:
    frames: tuple[_Frame, ...]
    description: str
    fps: float


def _read(clip: str) -> _Film:
    """The coded frames of an MP4 or MKV with H.264."""
    with importlib.import_module("av").open(clip) as container:
        stream = container.streams.video[0]
        head = bytes(stream.codec_context.extradata or b"")
        if stream.codec_context.name != "h264" or head[:1] != b"\1":
            sys.exit(f"{clip} is not an MP4 or MKV with H.264")
        size = (head[4] & 3) + 1
        fps = float(stream.guessed_rate)
        coded = [(packet.pts, bytes(packet)) for packet in container.demux(stream) if packet.size]
        first, base = min(pts for pts, _ in coded), float(stream.time_base)
    frames = [_Frame(tuple(_packets(data, size)), round((pts - first) * base * _CLOCK)) for pts, data in coded]
    sets = ",".join(b64encode(each).decode() for each in _parameter_sets(head))
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", f"a=framerate:{fps:g}"]
    lines += [f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}", f"a=rtpmap:{_PAYLOAD_TYPE} H264/{_CLOCK}"]
    lines += [f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}", "a=control:track"]
    return _Film(tuple(frames), "\r\n".join([*lines, ""]), fps)


def _parameter_sets(head: bytes) -> Iterator[bytes]:
    """SPS and PPS of an avcC box."""
    at = 5
    for mask in (0x1F, 0xFF):
        count, at = head[at] & mask, at + 1
        for _ in range(count):
            (length,) = struct.unpack_from(">H", head, at)
            yield head[at + 2 : at + 2 + length]
            at += 2 + length


def _packets(data: bytes, size: int) -> Iterator[bytes]:
    """A frame's payloads of RTP; each of its units has its length before it, in `size` bytes."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        unit = data[at + size : at + size + length]
        at += size + length
        if len(unit) <= _LARGEST:
            yield unit
            continue
        for begin in range(1, len(unit), _LARGEST):
            part = unit[begin : begin + _LARGEST]
            edges = (0x80 if begin == 1 else 0) | (0x40 if begin + _LARGEST >= len(unit) else 0)
            yield bytes([unit[0] & 0xE0 | _FRAGMENT, unit[0] & 0x1F | edges]) + part


class _Server:
    def __init__(self, film: _Film) -> None:
        self._film = film
        self._playing: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it closes its connection."""
        task: asyncio.Task[None] | None = None
        with suppress(OSError, EOFError):
            while True:
                method, url, fields = await _request(reader)
                head, body = self._answer(method, url, fields)
                lines = ["RTSP/1.0 200 OK", f"CSeq: {fields['cseq']}", *head]
                lines += [f"Content-Length: {len(body)}"] if body else []
                writer.write(("\r\n".join([*lines, "", ""]) + body).encode())
                if method == "PLAY" and task is None:
                    task = asyncio.create_task(self._play(writer))
                    self._playing.add(task)
                if method == "TEARDOWN":
                    break
        if task is not None:
            task.cancel()
            self._playing.discard(task)
        writer.close()

    def _answer(self, method: str, url: str, fields: dict[str, str]) -> tuple[list[str], str]:
        if method == "OPTIONS":
            return ["Public: DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], ""
        if method == "DESCRIBE":
            return ["Content-Type: application/sdp", f"Content-Base: {url.rstrip('/')}/"], self._film.description
        transport = [f"Transport: {fields['transport'].strip()}"] if method == "SETUP" else []
        return ["Session: 1;timeout=60", *transport], ""

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        period, frames = 1 / self._film.fps, self._film.frames
        loop_ticks = round(len(frames) * period * _CLOCK)
        began, number, packets = clock(), 0, 0
        while not writer.is_closing():
            loops, index = divmod(number, len(frames))
            frame = frames[index]
            if writer.transport.get_write_buffer_size() < _BEHIND:
                writer.write(_interleaved(frame, loops * loop_ticks, packets))
            packets += len(frame.packets)
            number += 1
            await asyncio.sleep(began + number * period - clock())


def _interleaved(frame: _Frame, ticks: int, first: int) -> bytes:
    """A frame as it goes through the connection; packets are numbered from `first`."""
    parts: list[Any] = []
    stamp, last = frame.ticks + ticks & 0xFFFFFFFF, len(frame.packets) - 1
    for index, payload in enumerate(frame.packets):
        kind = _PAYLOAD_TYPE | (0x80 if index == last else 0)
        parts += (_HEADER.pack(0x24, len(payload) + 12, 0x80, kind, first + index & 0xFFFF, stamp, 1), payload)
    return b"".join(parts)


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, URL and fields of the next request, reports about the video left out. Raises EOFError."""
    while (first := await reader.readexactly(1)) == b"$":
        await reader.readexactly(int.from_bytes((await reader.readexactly(3))[1:], "big"))
    line = (first + await reader.readline()).decode().split()
    if len(line) < 2:
        raise EOFError
    fields = {}
    while text := (await reader.readline()).decode().strip():
        name, _, fields[name.lower()] = text.partition(":")
    return line[0], line[1], fields


async def _main() -> None:
    server = await asyncio.start_server(_Server(_read(sys.argv[1])).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  whoever started it reads it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
