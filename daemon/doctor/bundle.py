"""The support bundle: report, configuration, package versions and journal in one file, without secrets."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import orjson
import yaml
from pydantic import BaseModel, SecretStr

from daemon.config.load import load
from daemon.config.schema import Config
from daemon.doctor import redact
from daemon.doctor.report import Report
from daemon.errors import ConfigError, UsageError

_JOURNAL = ("journalctl", "--unit=ospreyd.service", "--unit=ospreyd@*.service", "--lines=2000", "--no-pager")


def write(file: Path, report: Report, config: Path | None) -> None:
    """Writes a .tar.gz that only its owner can read. Raises UsageError where the file is there or cannot be written."""
    text, secrets = "no configuration was given\n", redact.known()
    if config is not None:
        text, found = _configuration(config)
        secrets |= found
    parts = {
        "report.json": orjson.dumps(report.document(), option=orjson.OPT_INDENT_2).decode(),
        "report.txt": report.text(),
        "configuration.yaml": text,
        "environment.txt": "\n".join(sorted(os.environ)),
        "packages.txt": "\n".join(sorted(f"{package.name} {package.version}" for package in distributions())),
        "journal.txt": _journal(),
    }
    try:
        with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
            _write(opened, {name: redact.scrubbed(part, secrets) for name, part in parts.items()})
    except FileExistsError:
        raise UsageError(f"--bundle: {file} is there already; name another file") from None
    except OSError as error:
        raise UsageError(f"--bundle: {file} cannot be written: {error.strerror}") from None


def _write(file: io.BufferedWriter, parts: dict[str, str]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in parts.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"ospreyd-support/{name}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))


def _configuration(file: Path) -> tuple[str, set[str]]:
    """The configuration without secrets, and all secrets that it holds or names."""
    try:
        text, secrets = redact.configuration(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "left out: it cannot be read, so its secrets cannot be found\n", set()
    try:
        loaded = load(file)
    except ConfigError:
        return text, secrets
    return text, secrets | _secrets_of(loaded)


def _secrets_of(config: Config) -> set[str]:
    """Secrets from the environment and from credentials, which the file's text does not hold."""
    found = {found for camera in config.cameras.values() for found in redact.credentials_in(camera.source)}
    return found | set(_passwords(config))


def _passwords(value: object) -> Iterator[str]:
    """Every secret value in a section of the configuration, wherever it is."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for _, inner in value:
            yield from _passwords(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _passwords(inner)


def _journal() -> str:
    try:
        done = subprocess.run(_JOURNAL, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"journalctl cannot be run: {type(error).__name__}\n"
    return done.stdout + done.stderr
