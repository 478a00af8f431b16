"""Values that come from outside the file, files that it names, secrets that stay secret, and any text at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.camera import Camera
from daemon.config.load import load
from daemon.config.schema import Config
from daemon.errors import ConfigError
from engines.graphs.heads import FAMILIES
from tests.conftest import ROOT

CAMERA = "cameras: {front: {source: '0'}}\n"
FULL = (ROOT / "configs" / "full.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


LEVELS = "must be topic levels with / between them, without spaces, $, + and #"


def loaded(text: str, environ: dict[str, str] | None = None) -> Config:
    Path("x.yaml").write_text(text, encoding="utf-8")
    return load(Path("x.yaml"), environ or {})


def mistakes(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text, environ)
    return [line.removeprefix("x.yaml:") for line in caught.value.problems]


def with_user(user: str) -> str:
    return f"device: a\nmqtt:\n  host: h\n  username: {user}\n{CAMERA}"


@pytest.mark.parametrize(
    ("written", "environ", "read"),
    [
        ("${U}", {"U": "osprey"}, "osprey"),
        ("a-${U}-${V}", {"U": "1", "V": "2"}, "a-1-2"),
        ("'${U}'", {"U": "osprey"}, "osprey"),
        ("${U:-fallback}", {}, "fallback"),
        ("${U:-fallback}", {"U": ""}, "fallback"),
        ("${U:-fallback}", {"U": "osprey"}, "osprey"),
        ("${U:-}", {}, ""),
        ("${U}", {"U": ""}, ""),
        ("$${U}", {"U": "osprey"}, "${U}"),
        ("$$${U}", {"U": "osprey"}, "$${U}"),
        ("a$b$", {}, "a$b$"),
        ("${U}", {"U": "${V}", "V": "not followed"}, "${V}"),
        ("!secret U", {"U": "osprey"}, "osprey"),
        ("!secret U", {"U": "${V}"}, "${V}"),
    ],
)
def test_values_from_the_environment(written: str, environ: dict[str, str], read: str) -> None:
    assert loaded(with_user(written), environ).mqtt.username == read


BRACES = "holds '${' that is neither ${NAME} nor ${NAME:-default}; write '$${' where '${' is meant"
TAG = "has an unknown tag; only !secret is known, and text that begins with ! needs quotes"
SECRET_NAME = "!secret takes the name of a credential: letters, digits, '.', '-' and '_'"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("${U}", "the environment variable U is not set; set it, or write ${U:-default}"),
        ("hunter${2}", BRACES),
        ("hunter${U", BRACES),
        ("!secret U", "there is neither a systemd credential nor an environment variable U; give one"),
        ("!secret ../../etc/passwd", SECRET_NAME),
        ("!secret ''", SECRET_NAME),
        ("!secret ..", "there is neither a systemd credential nor an environment variable ..; give one"),
        ("!secret [hunter2]", TAG),
        ("!hunter2", TAG),
        ("!!python/name:os.system x", TAG),
        ("!!binary aHVudGVyMg==", TAG),
    ],
)
def test_values_that_cannot_be_had(written: str, message: str) -> None:
    assert mistakes(with_user(written)) == [f"4: mqtt.username: {message}"]


def test_an_alias_of_nothing_is_not_shown() -> None:
    sentence = "an alias (*name) of nothing above; text that begins with * needs quotes"
    assert mistakes(with_user("*hunter2")) == [f"4: is not YAML at column 13: {sentence}"]


def test_values_from_the_environment_are_read_as_the_key_asks() -> None:
    text = (
        "device: ${BOX}\nmqtt: {host: h, port: '${PORT}'}\nmodels: {default: {confidence: '${SCORE}'}}\n"
        "cameras:\n  front:\n    source: a.mp4\n    loop: ${LOOP}\n    pace: ${PACE:-realtime}\n"
    )
    config = loaded(text, {"BOX": "007", "PORT": "1884", "SCORE": "0.7", "LOOP": "true"})
    assert (config.device, config.mqtt.port, config.models["default"].confidence) == ("007", 1884, 0.7)
    assert config.cameras["front"].loop is True


def test_a_credential_of_systemd_comes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "mqtt-user").write_text("from systemd\n", encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "mqtt-user": "environment", "other": "from the environment"}
    assert loaded(with_user("!secret mqtt-user"), environ).mqtt.username == "from systemd"
    assert loaded(with_user("!secret other"), environ).mqtt.username == "from the environment"


def test_a_credential_that_cannot_be_read(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff")
    assert mistakes(with_user("!secret folder"), environ) == [
        "4: mqtt.username: the systemd credential folder cannot be read: Is a directory"
    ]
    assert mistakes(with_user("!secret binary"), environ) == [
        "4: mqtt.username: the systemd credential binary is not UTF-8 text"
    ]


def test_no_secret_is_shown() -> None:
    text = """\
device: ${HUNTER}
mqtt:
  host: !secret HUNTER
  port: !secret HUNTER
  keepalive: a${HUNTER}b${PW:-hunter2}
  prefix: " hunter is shown"
  password: [hunter2]
  passwort: hunter2
models:
  default: {file: "${HUNTER}", family: "${HUNTER}"}
cameras:
  front: {source: "ftp://u:hunter2@cam/1", model: "${HUNTER}", labels: "rtspsrc user-pw=hunter2 ! appsink"}
  "rtsp://u:hunter2@cam/1": "http://cam/?user=a&password=hunter2&x=1"
"""
    told = mistakes(text, {"HUNTER": "hunter2 hunter2"})
    assert "hunter2" not in "\n".join(told)
    missing = "the file does not exist; the one name that needs no file is 'street'"
    keys = f"of {', '.join(Camera.model_fields)}"
    families = ", ".join(["auto", *FAMILIES])
    assert told == [
        "1: device: must be letters, digits, - and _, up to 64; it comes from ${HUNTER} and is not shown",
        "3: mqtt.host: must be a host name or address, without spaces, / and @",
        "4: mqtt.port: must be a whole number from 1 to 65535; it comes from !secret HUNTER and is not shown",
        "5: mqtt.keepalive: must be a whole number from 5 to 3600; it comes from ${HUNTER} and ${PW} and is not shown",
        f"6: mqtt.prefix: {LEVELS}, got ' hunter is shown'",
        "7: mqtt.password: must be text",
        "8: mqtt.passwort: is not a known key; did you mean 'password'?",
        f"10: models.default.file: {missing}; it comes from ${{HUNTER}} and is not shown",
        f"10: models.default.family: must be one of {families}; it comes from ${{HUNTER}} and is not shown",
        "12: cameras.front.source: a URL must begin with rtsp://, rtsps://, http:// or https://, got 'ftp://cam/1'",
        "12: cameras.front.labels: must be a list, got 'rtspsrc … ! appsink'",
        "12: cameras.front.model: must be one of `models` (default); it comes from ${HUNTER} and is not shown",
        "13: cameras.'rtsp://cam/1': must be letters, digits, - and _, up to 64",
        f"13: cameras.'rtsp://cam/1': must be a mapping ({keys}), got 'http://cam/?***'",
    ]


def test_credentials_in_the_name_of_a_model_are_not_shown_where_the_names_are_listed() -> None:
    told = mistakes("device: a\nmqtt: {host: h}\nmodels: {'rtsp://u:hunter2@m': {}}\n" + CAMERA)
    assert told[1] == "4: cameras.front.model: must be one of `models` (rtsp://m); it is 'default' unless given"


def test_paths_are_relative_to_the_configuration() -> None:
    folder = Path.cwd() / "conf"
    (folder / "models").mkdir(parents=True)
    for file in ("models/a.onnx", "models/a.txt", "ca.pem"):
        (folder / file).touch()
    (folder / "x.yaml").write_text(
        "device: a\nmqtt: {host: h, tls: {ca: ca.pem}}\n"
        "models: {default: {file: models/a.onnx, labels: models/a.txt}, b: {labels: coco}}\n"
        "cameras:\n  file: {source: not/there.mp4}\n  absolute: {source: /not/there.mp4}\n  usb: {source: 0}\n",
        encoding="utf-8",
    )
    config = load(Path("conf/x.yaml"), {})
    assert config.mqtt.tls is not None
    assert config.mqtt.tls.ca == folder / "ca.pem"
    assert config.models["default"].file == str(folder / "models/a.onnx")
    assert config.models["default"].labels == str(folder / "models/a.txt")
    assert (config.models["b"].file, config.models["b"].labels) == (None, "coco")
    sources = [camera.source for camera in config.cameras.values()]
    assert sources == [str(folder / "not/there.mp4"), "/not/there.mp4", "0"]


def test_files_that_are_missing() -> None:
    here = Path.cwd()
    text = (
        "device: a\nmqtt: {host: h, tls: {ca: no.pem}}\nmodels:\n  default:\n    file: no.onnx\n    labels: .\n"
        f'  b:\n    file: "{"n" * 300}"\n    labels: "a\\0b"\n{CAMERA}'
    )
    street, coco = (f"; the one name that needs no file is '{name}'" for name in ("street", "coco"))
    told = mistakes(text)
    assert told[:3] == [
        f"2: mqtt.tls.ca: the file '{here}/no.pem' does not exist",
        f"5: models.default.file: the file '{here}/no.onnx' does not exist{street}",
        f"6: models.default.labels: the file '{here}' is a folder, not a file{coco}",
    ]
    assert told[3].endswith(f"cannot be read: File name too long{street}")
    assert told[4].endswith(f"cannot be the name of a file{coco}")


def test_folders_of_engines_and_pictures() -> None:
    """Pictures must be there, the cache is made when it is needed; nothing else is either's name."""
    here = Path.cwd()
    (here / "scenes").mkdir()
    (here / "file").touch()
    models = "device: a\nmqtt: {host: h}\nmodels:\n  default: {calibration: %s}\ninference: {cache: %s}\n" + CAMERA
    config = loaded(models % ("scenes", "new/engines"))
    assert config.models["default"].calibration == here / "scenes"
    assert config.inference.cache == here / "new/engines"
    assert mistakes(models % ("none", "file")) == [
        f"4: models.default.calibration: the folder '{here}/none' does not exist",
        f"5: inference.cache: the folder '{here}/file' is a file, not a folder",
    ]
    assert mistakes(models % ("file", "''")) == [
        f"4: models.default.calibration: the folder '{here}/file' is a file, not a folder",
        "5: inference.cache: must be the name of a folder, got ''",
    ]


ANY = settings(deadline=None)
PIECES = ("", " ", "\n", ": ", "- ", "[", "}", "&a ", "*a", "<<: *a", "!secret A", "${A", "'", "#", "~", "0", "\t")


@ANY
@given(st.text())
def test_any_text_gives_a_configuration_or_its_mistakes(text: str) -> None:
    with contextlib.suppress(ConfigError):
        loaded(text.encode(errors="ignore").decode())


@ANY
@given(st.data())
def test_any_change_of_a_good_file_gives_a_configuration_or_its_mistakes(data: st.DataObject) -> None:
    """Pieces that mean something to YAML or to the loader take the place of pieces of the full example."""
    text = FULL
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 20, len(text))))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    with contextlib.suppress(ConfigError):
        loaded(text)
