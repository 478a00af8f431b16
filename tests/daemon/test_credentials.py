"""No credential leaves: wherever in a source it stands, whatever characters it has, whoever shows the source."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.sources.rtsp_probe import probe
from daemon.config.credentials import shown_source, without_credentials
from daemon.config.load import load
from daemon.doctor import redact
from daemon.errors import ConfigError
from tests.conftest import ROOT, wait_for
from tests.daemon.running import TOPICS, box, daemon, state_of, stop
from tests.daemon.several import commands
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

ODD = " @/#?%&=:;!,+'\"\\\u00e4\u00df\u20ac{}[]()|"
PLAIN_SECRETS = st.text("QXZJWK", min_size=4, max_size=12)
SECRETS = PLAIN_SECRETS | st.text(st.sampled_from("QXZJWK" * 4 + ODD), min_size=4, max_size=20)
PLACES = (
    "rtsp://{}@127.0.0.1:1/live",
    "rtsp://{}:{}@127.0.0.1:1/live",
    "rtsp://:{}@127.0.0.1:1/live",
    "RTSP://viewer:{}@127.0.0.1:1/live?fps=5",
    "http://viewer:{}@127.0.0.1:1/v.mjpg#{}",
    "rtsp://viewer:{}",
    "rtsp://viewer:{}/127.0.0.1:1/live",
    "rtsp://127.0.0.1:1/live?{}",
    "http://127.0.0.1:1/snapshot.cgi?loginuse=admin&loginpas={}",
    "http://127.0.0.1:1/v.mjpg?fps=5&auth={}&x=1",
    "rtsp://127.0.0.1:1/11?key={}&sig={}",
    "rtsp://127.0.0.1:1/user=admin_password={}_channel=1_stream=0.sdp",
    "http://127.0.0.1:1/token/{}/live",
    "https://[::1]:1/v#{}",
    'rtspsrc location="rtsp://viewer:{}@127.0.0.1:1/live" ! decodebin ! appsink',
    'rtspsrc location=rtsp://127.0.0.1:1/live user-id={} user-pw="{}" ! decodebin ! appsink',
    "rtsp//viewer:{}@127.0.0.1:1/live",
    "rtsp:/viewer:{}@127.0.0.1:1/live",
    "viewer:{}@127.0.0.1:1/live",
    "ftp://viewer:{}@127.0.0.1:1/live",
)
PLAIN = tuple(
    f"rtsp://cam/{path}"
    for path in (
        "h264Preview_01_main",
        "ISAPI/Streaming/channels/102/httpPreview",
        "cam/realmonitor",
        "axis-media/media.amp",
        "MediaInput/h264/stream_1",
        "live_ch00_0",
        "unicast/c1/s0/live",
        "user_defined_profile_2",
        "ch01/av_stream_2560x1440",
    )
)
"""paths that say which channel it is"""
TOKENS = (
    ("rtsps://nvr:7441", "7fGk29dQxP3LmZa1"),
    ("rtsp://cam/live", "QXZJ1WK2QX3/main"),
    ("http://cam", "3f2504e04f8911d39a0c0305e82c3301"),
    ("http://cam/video", "3f2504e0-4f89-11d3-9a0c-0305e82c3301/hd"),
    ("rtsp://cam", "abcdefghijklmnopqrs9"),
)
"""URLs, and paths below them that are known to nobody else"""


def parts_of(secret: str) -> set[str]:
    """Four characters or more of it that could be recognised, as they are and in small letters."""
    found = {secret[i : i + 4] for i in range(len(secret) - 3)}
    found = {part for part in found if sum(c in "QXZJWK" for c in part) >= 3}
    return found | {part.lower() for part in found}


@pytest.fixture(autouse=True)
def _no_names_but_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **more: Any) -> Any:
        if host not in ("127.0.0.1", "::1"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@given(st.sampled_from(PLACES), SECRETS, SECRETS)
def test_nothing_shows_a_credential(tmp_path_factory: pytest.TempPathFactory, place: str, one: str, two: str) -> None:
    source = place.format(one, two) if place.count("{}") > 1 else place.format(one)
    shown = [shown_source(source), without_credentials(f"{shown_source(source)}: cannot be opened")]
    if source.lower().startswith(("rtsp://", "http://", "https://")):
        shown.append(str(probe(source, 1.0)))
    file = tmp_path_factory.mktemp("leak") / "x.yaml"
    document = {"device": "a b", "mqtt": {"host": "h"}, "cameras": {"c": {"source": source, "fps": source}}}
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ConfigError) as mistakes:
        load(file, {})
    shown += mistakes.value.problems
    text, secrets = redact.configuration(file.read_text(encoding="utf-8"))
    shown.append(text)
    shown.append(redact.scrubbed(f"an older log says {source}", secrets | redact.credentials_in(source)))
    everything = "\n".join(shown)
    leaked = [part for part in parts_of(one) | parts_of(two if place.count("{}") > 1 else one) if part in everything]
    assert leaked == [], everything


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://cam:554/Streaming/Channels/101", "rtsp://cam:554/Streaming/Channels/101"),
        ("rtsp://user:pw@cam/1", "rtsp://cam/1"),
        ("rtsp://user@cam:554/1", "rtsp://cam:554/1"),
        *((url, url) for url in PLAIN),
        *((f"{url}/{rest}", f"{url}?***") for url, rest in TOKENS),
        ("rtsp://user:p@w@cam/1", "rtsp://cam/1"),
        ("rtsp://user:p w@cam/1", "rtsp://cam/1"),
        ("rtsp://user:pw@[fe80::1]:554/1", "rtsp://[fe80::1]:554/1"),
        ("rtsp://user:p/w@cam/1", "rtsp://***"),
        ("rtsp://cam/1@2", "rtsp://***"),
        ("http://cam/video?fps=5", "http://cam/video?***"),
        ("rtsp://cam/user=a&password=b", "rtsp://cam?***"),
        ("rtspsrc location=rtsp://a:b@cam user-pw=b ! queue ! appsink", "rtspsrc … ! appsink"),
        ("/dev/video0", "/dev/video0"),
        ("videos/pass@street.mp4", "videos/pass@street.mp4"),
        ("user:pw@cam/1", "***"),
        ("rtsp//user:pw@cam/1", "***"),
        ("rtsp://user:pw", "rtsp://***"),
        ("rtsp://user:pw/cam/1", "rtsp://***"),
        ("http://cam/token/abcd/live", "http://cam?***"),
        ("rtsp//user:p/w@cam/1", "***"),
    ],
)
def test_the_rest_of_a_source_is_shown(source: str, shown: str) -> None:
    assert shown_source(source) == shown
    assert shown_source(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:pw@cam/1 and http://a:b@cam/2?c=d end", "rtsp://cam/1 and http://cam/2?*** end"),
        ("open rtsp://u:p w@cam/1: it broke", "open rtsp://cam/1: it broke"),
        ("rtsp://cam:554/1: give them as user:password@…", "rtsp://cam:554/1: give them as user:password@…"),
        ("rtsp://cam: mail me@home", "rtsp://cam: mail me@home"),
        ("see http://127.0.0.1:9469/metrics.", "see http://127.0.0.1:9469/metrics."),
        ("with password=abc and key=d, keepalive=30", "with password=*** and key=*** keepalive=30"),
    ],
)
def test_free_text(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


LEAKING = {
    "blank": "rtsp://user:pass w0rdA@127.0.0.1:1/live",
    "slash": "rtsp://user:p@ssB/w0rdB@127.0.0.1:1/live",
    "question": "rtsp://user:p@ssC?w0rdC@127.0.0.1:1/live",
    "path": "rtsp://127.0.0.1:1/user=admin_password=w0rdD_channel=1_stream=0.sdp",
    "pipeline": 'rtspsrc location="rtsp://user:pass w0rdE@127.0.0.1:1/live" user-pw="sec w0rdE2" ! appsink',
    "login": "http://127.0.0.1:1/snapshot.cgi?loginuse=admin&loginpas=w0rdF",
    "auth": "http://127.0.0.1:1/mjpg/video.mjpg?auth=YWRtaW46w0rdG",
    "umlaut": "rtsp://us\u00e4r:w0rd\u00e4K@w0rd\u00fcK@127.0.0.1:1/live",
}
REFUSED = (
    "rtsp://user:pa/ssw0rdH@127.0.0.1:1/live",
    "rtsp://w0rdI.example@example.invalid:ssw0rdI/live@1",
    "http://user:w0rd#w0rdJ@127.0.0.1:1/v?password=w0rdJ!w0rdJ2",
)
"""without a valid host and port, as they are written"""
NOISY = {"OPENCV_FFMPEG_DEBUG": "1", "OPENCV_LOG_LEVEL": "VERBOSE", "OPENCV_VIDEOIO_DEBUG": "1"}


def leaks(*texts: str) -> list[str]:
    return [part for part in ("w0rd", "ssb", "ssB", "ssC", "ssc", "YWRt") for text in texts if part in text]


def test_neither_topics_nor_log_nor_bundle_nor_ffmpeg_show_one(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where OpenCV and FFmpeg are asked to say all they can."""
    for name, value in NOISY.items():
        monkeypatch.setenv(name, value)
    cameras = {name: {"source": source, "open_timeout": 2} for name, source in LEAKING.items()}
    document = box(broker, cameras, service={"metrics": None})
    with daemon(tmp_path, document) as process:
        wait_for(lambda: all(state_of(subscriber.messages(), name)["reason"] for name in LEAKING), "all states", 60)
        stop(process)
    messages = [message for message in subscriber.messages() if message.topic.startswith(TOPICS)]
    assert leaks(*(message.payload.decode() for message in messages)) == []
    assert leaks((tmp_path / "log").read_text()) == []
    command = [sys.executable, "-m", "daemon", "doctor", str(tmp_path / "box.yaml"), "--bundle", "b.tgz"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert leaks(done.stdout, done.stderr) == []
    assert "camera blank" in done.stdout
    assert "rtsp://127.0.0.1:1/live: refused: 127.0.0.1:1 refuses" in done.stdout, "what is no credential stays"
    with tarfile.open(tmp_path / "b.tgz") as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        texts = [file.read().decode() for file in files if file is not None]
    assert leaks(*texts) == []


@pytest.mark.parametrize("source", REFUSED)
def test_a_refused_source_is_not_shown(tmp_path: Path, source: str) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(yaml.safe_dump({"device": "box", "mqtt": {"host": "h"}, "cameras": {"c": {"source": source}}}))
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    assert "no valid host and port" in str(refused.value)
    assert leaks(str(refused.value), str(probe(source, 1.0))) == []


def test_a_command_that_is_given_a_url_repeats_no_credential(tmp_path: Path) -> None:
    url, *words = "rtsp://user:w0rdA@127.0.0.1:1/live", "rtsp://user:pass", "w0rdB@127.0.0.1:1/live"
    several = [[command, url] for command in ("probe", "run", "check", "doctor", "detect", "watch")]
    several += [[command, *words] for command, _ in several if command != "detect"] + [["detect", url, url]]
    for done in commands(tmp_path, *several):
        assert done.returncode != 0, done
        assert done.stdout + done.stderr
        assert leaks(done.stdout, done.stderr) == [], done
