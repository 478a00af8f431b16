"""Runs every check and reports the results as text or JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.config.credentials import shown_source
from daemon.config.load import load_with_lines
from daemon.config.schema import Config
from daemon.doctor import gpu, machine, reach
from daemon.doctor.broker_login import broker
from daemon.doctor.finding import Finding, Problem
from daemon.doctor.model_store import models
from daemon.doctor.packages import packages
from daemon.doctor.storage import storage
from daemon.errors import EXIT_FAILURE, EXIT_NO_BACKEND, EXIT_OK, EXIT_USAGE, ConfigError
from engines.errors import FolderError
from engines.folders import cache_folder
from engines.text import counted


@dataclass(frozen=True, slots=True)
class Report:
    """Results of every check."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of every check, in the order of the report."""
        return tuple(problem for finding in self.findings for problem in finding.problems)

    @property
    def exit_code(self) -> int:
        """Exit code of the command; a mistaken configuration takes precedence, then the backend."""
        stopping = {problem.what for problem in self.problems if problem.stops}
        if "configuration" in stopping:
            return EXIT_USAGE
        if "chosen" in stopping:
            return EXIT_NO_BACKEND
        return EXIT_FAILURE if stopping else EXIT_OK

    def document(self) -> dict[str, Any]:
        """The report for programs, ready for JSON."""
        facts = {finding.name: dict(finding.facts) for finding in self.findings}
        backends = {name: facts.pop(name) for name in gpu.NAMES}
        cameras = {name.partition(" ")[2]: facts.pop(name) for name in list(facts) if name.startswith("camera ")}
        problems = [asdict(problem) for problem in self.problems]
        return {"ospreyd": __version__, **facts, "backends": backends, "cameras": cameras, "problems": problems}

    def text(self) -> str:
        """The report for people: one line per check, then each problem with its fix."""
        width = max(len(finding.name) for finding in self.findings) + 2
        lines = [f"{finding.name:<{width}}{finding.line}" for finding in self.findings]
        for problem in self.problems:
            mark = "problem" if problem.stops else "note"
            lines += ["", f"{mark}: {problem.what}: {problem.problem}", f"  fix: {problem.fix}"]
        return "\n".join(lines)


def examine(config: Path | None, try_out: Callable[[Config], object]) -> Report:
    """Checks the machine and, with a configuration, the broker, cameras and ports that it names.

    `try_out` raises MistakesError for a configuration that `ospreyd run` would refuse.
    """
    loaded, configuration = (None, ()) if config is None else _configuration(config, try_out)
    wanted = "auto" if loaded is None else loaded.inference.backend
    cache = _cache(loaded)
    parts: list[Callable[[], Finding]] = [
        machine.system,
        packages,
        machine.memory,
        lambda: machine.disk(cache),
        machine.opencv,
        gpu.device,
        gpu.nvdec,
    ]
    findings = [part() for part in parts]
    findings += [*gpu.backends(), gpu.chosen(wanted), machine.cache(cache), models(loaded), *configuration]
    if loaded is not None:
        findings += [storage(loaded), reach.metrics(loaded), broker(loaded), *reach.cameras(loaded)]
    return Report(tuple(findings))


def _cache(loaded: Config | None) -> Path | FolderError:
    """The folder of engines, or why there is none."""
    if loaded is not None and loaded.inference.cache is not None:
        return loaded.inference.cache
    try:
        return cache_folder()
    except FolderError as error:
        return error


def _configuration(file: Path, try_out: Callable[[Config], object]) -> tuple[Config | None, tuple[Finding, ...]]:
    """None where the file cannot be read; what only `try_out` finds leaves the rest to be examined."""
    name = shown_source(str(file))
    config = None
    try:
        loaded = load_with_lines(file)
        config = loaded.config
        with loaded.naming_lines():
            try_out(config)
    except ConfigError as error:
        fix = f"edit {name}, then: ospreyd check {name}"
        problems = tuple(Problem("configuration", problem, fix) for problem in error.problems)
        line = f"{name}: {counted(len(problems), 'mistake')}"
        return config, (Finding("configuration", line, {"file": name, "problems": list(error.problems)}, problems),)
    line = f"{name}: valid; device {config.device}, {counted(len(config.cameras), 'camera')}"
    return config, (Finding("configuration", line, {"file": name, "problems": []}),)
