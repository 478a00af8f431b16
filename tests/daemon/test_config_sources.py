"""The kinds of sources, told from their text, and the settings that are for some of them."""

from __future__ import annotations

import pytest

from daemon.config.camera import Camera
from daemon.config.sources import SPECIFIC_SETTINGS, SourceKind, is_live, kinds_with, source_kind, titles_of


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://cam/1", SourceKind.RTSP),
        ("RTSPS://cam/1", SourceKind.RTSP),
        ("http://cam/1.mjpg", SourceKind.HTTP),
        ("https://cam/1.mjpg", SourceKind.HTTP),
        ("0", SourceKind.V4L2),
        ("/dev/v4l/by-id/usb-x", SourceKind.V4L2),
        ("videotestsrc ! appsink", SourceKind.GSTREAMER),
        ("rtspsrc location=rtsp://cam/1 ! decodebin ! appsink", SourceKind.GSTREAMER),
        ("street.mp4", SourceKind.PATH),
        ("/var/pictures", SourceKind.PATH),
        ("0/", SourceKind.PATH),
        ("Stop!.mp4", SourceKind.PATH),
    ],
)
def test_kinds_of_sources(source: str, kind: SourceKind) -> None:
    assert source_kind(source) is kind


def test_every_kind_of_source_is_registered() -> None:
    assert all(titles_of(frozenset({kind})) for kind in SourceKind)
    assert Camera.model_fields.keys() >= SPECIFIC_SETTINGS


@pytest.mark.parametrize(
    ("setting", "kinds", "titles"),
    [
        ("transport", {SourceKind.RTSP}, "RTSP"),
        ("loop", {SourceKind.PATH}, "files"),
        ("decoder_threads", {SourceKind.RTSP, SourceKind.HTTP, SourceKind.PATH}, "RTSP, HTTP and files"),
    ],
)
def test_settings_are_for_kinds_of_sources(setting: str, kinds: set[SourceKind], titles: str) -> None:
    assert kinds_with(setting) == kinds
    assert titles_of(kinds_with(setting)) == titles


def test_only_paths_are_recordings() -> None:
    sources = ["rtsp://cam/1", "http://cam/1", "0", "videotestsrc ! appsink", "street.mp4"]
    assert [is_live(source) for source in sources] == [True, True, True, True, False]
