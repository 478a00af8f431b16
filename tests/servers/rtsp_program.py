"""A real RTSP server on gst-rtsp-server, for Debian's own Python, which has its bindings.

`/usr/bin/python3 tests/servers/rtsp_program.py` serves moving test pictures as H.264 on 127.0.0.1, path /stream,
over TCP unless told otherwise, and prints its port when it is ready.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

_PATH = "/stream"
_ENCODE = (
    "videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} ! rtph264pay name=pay0 pt=96"
)


def main() -> None:
    """Serves until it is killed."""
    options = _options()
    gst, rtsp, glib = _gstreamer()
    server = rtsp.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = _looped_file(gst, rtsp, options) if options.video else _test_pictures(rtsp, options)
    factory.set_shared(bool(options.video))  # where clients share it the server crashes, or is not ready, now and then
    transports = importlib.import_module("gi.repository.GstRtsp").RTSPLowerTrans
    factory.set_protocols(transports.UDP if options.transport == "udp" else transports.TCP)
    if options.user:
        _protect(gst, rtsp, server, factory, options)
    server.get_mount_points().add_factory(_PATH, factory)
    if not server.attach(None):
        sys.exit(f"port {options.port} is in use")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    glib.MainLoop().run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT of the test pictures, pixels")
    parser.add_argument("--fps", type=int, default=25, help="frames a second of the test pictures")
    parser.add_argument("--video", help="serve this MJPEG or H.264 file instead, again and again")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp", help="the only one that is served")
    parser.add_argument("--user", help="ask for this user")
    parser.add_argument("--password", help="of that user")
    parser.add_argument("--auth", choices=("basic", "digest"), default="digest", help="how user and password are sent")
    return parser.parse_args()


def _gstreamer() -> tuple[Any, Any, Any]:
    """The three modules, by name: they exist for Debian's Python only."""
    gi = importlib.import_module("gi")
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    gst, rtsp, glib = (importlib.import_module(f"gi.repository.{name}") for name in ("Gst", "GstRtspServer", "GLib"))
    gst.init(None)
    return gst, rtsp, glib


def _test_pictures(rtsp: Any, options: argparse.Namespace) -> Any:
    width, height = options.size.split("x")
    caps = f"video/x-raw,width={width},height={height},framerate={options.fps}/1"
    factory = rtsp.RTSPMediaFactory()
    factory.set_launch(f"videotestsrc pattern=ball is-live=true ! {caps} ! {_ENCODE.format(fps=options.fps)}")
    return factory


def _looped_file(gst: Any, rtsp: Any, options: argparse.Namespace) -> Any:
    """Decoded once by a pipeline of its own that rewinds at the end, so that the served stream never ends."""
    reader = gst.parse_launch(
        "filesrc name=file ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=out"
    )
    reader.get_by_name("file").set_property("location", options.video)
    frames = reader.get_by_name("out")
    frames.set_property("sync", False)
    frames.set_property("max-buffers", 2)
    reader.set_state(gst.State.PLAYING)
    first = frames.emit("pull-sample")
    if first is None:
        sys.exit(f"{options.video} is not a video that GStreamer reads here")
    caps = first.get_caps()
    _, numerator, denominator = caps.get_structure(0).get_fraction("framerate")
    period = gst.SECOND * denominator // numerator

    def feed(source: Any, _length: int, count: list[int]) -> None:
        sample = frames.emit("pull-sample")
        if sample is None:
            reader.seek_simple(gst.Format.TIME, gst.SeekFlags.FLUSH | gst.SeekFlags.KEY_UNIT, 0)
            sample = frames.emit("pull-sample")
        picture = sample.get_buffer().copy()
        picture.pts = count[0] * period
        picture.duration = period
        count[0] += 1
        source.emit("push-buffer", picture)

    def configure(_factory: Any, media: Any) -> None:
        source = media.get_element().get_by_name("in")
        source.set_property("caps", caps)
        source.connect("need-data", feed, [0])

    factory = rtsp.RTSPMediaFactory()
    fps = max(1, numerator // denominator)
    factory.set_launch(f"appsrc name=in format=time ! {_ENCODE.format(fps=fps)}")
    factory.connect("media-configure", configure)
    return factory


def _protect(gst: Any, rtsp: Any, server: Any, factory: Any, options: argparse.Namespace) -> None:
    methods = importlib.import_module("gi.repository.GstRtsp").RTSPAuthMethod
    auth = rtsp.RTSPAuth()
    token = rtsp.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if options.auth == "basic":
        auth.set_supported_methods(methods.BASIC)
        auth.add_basic(rtsp.RTSPAuth.make_basic(options.user, options.password), token)
    else:
        auth.set_supported_methods(methods.DIGEST)
        auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)
    may = "viewer,media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
    factory.add_role_from_structure(gst.Structure.from_string(may)[0])


if __name__ == "__main__":
    main()
