"""Settings over the configuration: their effect, their persistence, and invalid files."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.config.schema import Config
from daemon.control.commands import ChangeSetting, CommandRejected, CommandScope, Reload, TakeSnapshot
from daemon.control.handler import CommandHandler
from daemon.control.overrides import Overrides, SettingsFile
from daemon.control.running_config import RunningConfig
from daemon.control.settings import Setting, Value
from daemon.errors import UsageError
from tests.daemon.commanding import Recorder
from tests.daemon.publishing import config

FILE = config(1883)
FASTER = ChangeSetting("front", Setting.FPS, 5.0)


class Made:
    """What executes commands, and what it has published since it was made."""

    def __init__(self, recorder: Recorder | None = None, kept: SettingsFile | None = None) -> None:
        self.published: list[tuple[str, str, Value, bool]] = []
        self.running = RunningConfig(FILE, kept)
        self.execute = CommandHandler(self.running, (recorder or Recorder()).actions).execute

    @property
    def config(self) -> Config:
        return self.running.config

    def start(self) -> None:
        self.running.start(self._publish)

    def replace(self, file: Config) -> None:
        """As a reload does."""
        with self.running.replacing(file):
            pass

    def _publish(self, camera: str, setting: Setting, value: Value, commanded: bool) -> None:
        self.published.append((camera, setting.value, value, commanded))


def control(recorder: Recorder | None = None, kept: SettingsFile | None = None) -> Made:
    """One that has been started."""
    made = Made(recorder, kept)
    made.start()
    made.published.clear()
    return made


ONLY_YARD = FILE.model_copy(update={"cameras": {"yard": FILE.cameras["yard"]}})


def test_setting_overrides_the_file() -> None:
    recorder = Recorder()
    made = control(recorder)
    assert made.config == FILE
    assert made.execute(FASTER) == "fps of front is 5.0"
    assert recorder.calls == ["apply"]
    assert (made.config.cameras["front"].fps, made.config.cameras["yard"].fps) == (5.0, None)
    assert made.published == [("front", "fps", 5.0, True)]
    assert made.execute(FASTER) == "fps of front is 5.0 already"
    assert made.execute(ChangeSetting("front", Setting.FPS, None)) == "fps of front is null"
    assert made.execute(ChangeSetting("yard", Setting.ENABLED, False)) == "enabled of yard is false"
    assert recorder.calls == ["apply"] * 3
    assert not made.config.cameras["yard"].enabled


def test_start_publishes_every_setting() -> None:
    made = control()
    made.execute(FASTER)
    made.published.clear()
    made.start()
    assert made.published == [
        ("front", "enabled", True, False),
        ("front", "confidence", None, False),
        ("front", "fps", 5.0, True),
        ("yard", "enabled", True, False),
        ("yard", "confidence", None, False),
        ("yard", "fps", None, False),
    ]


def test_setting_that_cannot_be_applied_changes_nothing(tmp_path: Path) -> None:
    recorder, kept = Recorder(), SettingsFile("gate", tmp_path)
    made = control(recorder, kept)
    made.execute(ChangeSetting("front", Setting.FPS, 2.0))
    recorder.error = UsageError("no")
    with pytest.raises(UsageError):
        made.execute(FASTER)
    assert made.config.cameras["front"].fps == 2.0
    assert kept.load().cameras == {"front": {Setting.FPS: 2.0}}
    assert len(made.published) == 1


def test_reload_while_a_setting_is_applied() -> None:
    """As a reload in the main thread, which is also the one that applies settings, would do."""

    class Rereading(Recorder):
        def apply(self) -> None:
            super().apply()
            thread = threading.Thread(target=made.replace, args=(slower,))
            thread.start()
            thread.join(20)
            assert not thread.is_alive()

    slower = FILE.model_copy(update={"device": "other"})
    made = control(Rereading())
    made.execute(FASTER)
    assert (made.config.device, made.config.cameras["front"].fps) == ("other", 5.0)


def test_setting_does_not_bring_back_a_camera_removed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read again right after the command has checked that the camera exists."""
    made = control()
    with_one = Overrides.with_one
    reloads: list[threading.Thread] = []

    def reloaded(before: Overrides, camera: str, setting: Setting, value: Value) -> Overrides:
        reloads.append(threading.Thread(target=made.replace, args=(ONLY_YARD,)))
        reloads[0].start()
        reloads[0].join(0.5)  # it has to wait; without the lock it would be over by then
        return with_one(before, camera, setting, value)

    monkeypatch.setattr(Overrides, "with_one", reloaded)
    with suppress(CommandRejected):  # where the reload was over before the command
        made.execute(FASTER)
    reloads[0].join(20)
    assert made.config == ONLY_YARD
    made.replace(FILE)
    assert made.config == FILE, "the setting went with its camera"


def test_removed_cameras_lose_their_settings() -> None:
    made = control()
    made.execute(FASTER)
    made.published.clear()
    made.replace(ONLY_YARD)
    assert made.config == ONLY_YARD
    assert made.running.scope() == CommandScope(frozenset({"yard"}), frozenset({"default"}))
    assert made.published == [
        ("yard", name, value, False) for name, value in (("enabled", True), ("confidence", None), ("fps", None))
    ]
    for command in (FASTER, TakeSnapshot("front", annotated=False)):
        with pytest.raises(CommandRejected, match="camera front has just been removed"):
            made.execute(command)
    made.replace(FILE)
    assert made.config == FILE
    assert ("front", "fps", None, False) in made.published


def test_removed_cameras_lose_their_settings_on_disk(tmp_path: Path) -> None:
    kept = SettingsFile("gate", tmp_path)
    made = control(kept=kept)
    made.execute(FASTER)
    made.execute(ChangeSetting("yard", Setting.ENABLED, False))
    made.replace(ONLY_YARD)
    assert kept.load() == Overrides({"yard": {Setting.ENABLED: False}})
    made.replace(FILE)
    assert control(kept=kept).config.cameras["front"] == FILE.cameras["front"], "it starts from the file"


def test_start_forgets_settings_of_unknown_cameras(tmp_path: Path) -> None:
    kept = SettingsFile("gate", tmp_path)
    kept.save(Overrides({"back": {Setting.ENABLED: False}, "front": {Setting.FPS: 2.0}}))
    made = Made(kept=kept)
    assert made.config.cameras["front"].fps == 2.0
    assert "back" in kept.load().cameras, "a daemon that refuses to start has changed nothing"
    made.start()
    assert kept.load() == Overrides({"front": {Setting.FPS: 2.0}})


def test_unreadable_settings_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "settings-gate.json").write_bytes(b"{")
    made = Made(kept=SettingsFile("gate", tmp_path))
    made.start()
    assert (tmp_path / "settings-gate.json").read_bytes() == b"{"


def test_failed_reload_changes_no_setting(tmp_path: Path) -> None:
    kept = SettingsFile("gate", tmp_path)
    made = control(kept=kept)
    made.execute(FASTER)
    made.published.clear()
    with (
        pytest.raises(KeyError),
        made.running.replacing(ONLY_YARD),
    ):
        raise KeyError("front")
    assert made.config.cameras["front"].fps == 5.0
    assert kept.load() == Overrides({"front": {Setting.FPS: 5.0}})
    assert ("front", "fps", 5.0, True) in made.published, "what the failed reload has cleared is published again"


def test_error_after_applying_a_setting_reverts_it() -> None:
    applied: list[float | None] = []

    class Applying(Recorder):
        def apply(self) -> None:
            applied.append(made.config.cameras["front"].fps)

    made, failing = Made(Applying()), list[bool]()

    def publish(*_: object) -> None:
        if failing:
            raise KeyError("a format")

    made.running.start(publish)
    failing.append(True)
    with pytest.raises(KeyError):
        made.execute(FASTER)
    assert made.config == FILE
    assert applied == [5.0, None]


def test_commands_without_settings() -> None:
    recorder = Recorder()
    made = control(recorder)
    assert made.execute(Reload()) == "read again"
    assert made.execute(TakeSnapshot("front", annotated=False)).startswith("the next picture of front is published")
    made.execute(ChangeSetting("yard", Setting.ENABLED, False))
    with pytest.raises(CommandRejected, match="camera yard is not enabled"):
        made.execute(TakeSnapshot("yard", annotated=False))
    assert recorder.calls == ["reload", "snapshot front False", "apply"]


def test_settings_outlast_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    first = control(kept=SettingsFile("gate", folder))
    first.execute(FASTER)
    first.execute(ChangeSetting("yard", Setting.ENABLED, False))
    assert [path.name for path in folder.iterdir()] == ["settings-gate.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    second = Made(kept=SettingsFile("gate", folder))
    assert (second.config.cameras["front"].fps, second.config.cameras["yard"].enabled) == (5.0, False)
    second.start()
    assert ("front", "fps", 5.0, True) in second.published
    assert control(kept=SettingsFile("other", folder)).config == FILE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "it is not JSON"),
        (b"[]", "it has no settings of version 1"),
        (b'{"schema": 2}', "it has no settings of version 1"),
        (b'{"schema": 1, "cameras": {"front": 5}}', "it has no cameras with settings"),
        (
            b'{"schema": 1, "cameras": {"front": {"fps": -1}}}',
            "fps of camera front: must be a positive number, or null",
        ),
        (b'{"schema": 1, "cameras": {"front": {"source": "x"}}}', "source of camera front: 'source' is not a valid"),
        (b" " * (1 << 20) + b"{}", "the file is too large"),
    ],
)
def test_invalid_settings_file_is_ignored(
    tmp_path: Path, text: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "settings-gate.json").write_bytes(text)
    assert SettingsFile("gate", tmp_path).load() == Overrides()
    assert why in caplog.text
    assert caplog.text.count("the configuration applies") == 1


def test_settings_that_cannot_be_read_are_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is in the file's place. Commands meanwhile count, and overwrite nothing."""
    monkeypatch.setattr("daemon.control.running_config._READ_AGAIN", 0.0)
    earlier = {Setting.FPS: 2.0, Setting.ENABLED: False}
    file = tmp_path / "settings-gate.json"
    file.mkdir()
    made = control(kept=SettingsFile("gate", tmp_path))
    assert made.config == FILE
    assert "fps of front is 5.0, but will not outlast a restart" in made.execute(FASTER)
    made.published.clear()
    assert not made.running.read_kept()
    file.rmdir()
    SettingsFile("gate", tmp_path).save(Overrides({"front": earlier, "gone": earlier, "yard": earlier}))
    assert made.running.read_kept()
    cameras = made.config.cameras
    assert [(cameras[name].fps, cameras[name].enabled) for name in ("front", "yard")] == [(5.0, False), (2.0, False)]
    assert {("front", "fps", 5.0, True), ("yard", "enabled", False, True)} <= set(made.published)
    after = SettingsFile("gate", tmp_path).load().cameras
    assert after == {"front": {**earlier, Setting.FPS: 5.0}, "yard": earlier}
    assert not made.running.read_kept()


def test_failed_write_of_settings_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    made = control(kept=SettingsFile("gate", tmp_path / "state"))
    detail = made.execute(FASTER)
    assert detail.startswith("fps of front is 5.0, but will not outlast a restart: ")
    assert made.config.cameras["front"].fps == 5.0
