"""How far a build is, from what TensorRT tells of its nested phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Phase:
    steps: int
    done: int = 0
    parts: dict[str, _Phase] = field(default_factory=dict)

    def fraction(self) -> float:
        """Steps done, and what is done of the one under way."""
        inside = max((part.fraction() for part in self.parts.values()), default=0.0)
        return min(1.0, (self.done + inside) / self.steps) if self.steps else 0.0


class _Phases:
    """The phases that are under way."""

    def __init__(self) -> None:
        self._open: dict[str, _Phase] = {}
        self._top: _Phase | None = None

    def start(self, name: str, parent: str | None, steps: int) -> None:
        phase = self._open[name] = _Phase(steps)
        if parent in self._open:
            self._open[parent].parts[name] = phase
        elif self._top is None:
            self._top = phase

    def step(self, name: str, step: int) -> None:
        phase = self._open.get(name)
        if phase is not None:
            phase.done = step + 1
            phase.parts.clear()

    def finish(self, name: str) -> None:
        phase = self._open.pop(name, None)
        if phase is not None:
            phase.done = phase.steps

    def fraction(self) -> float:
        return self._top.fraction() if self._top is not None else 0.0


def monitor(module: Any, report: Callable[[float], None]) -> Any:
    """An IProgressMonitor of the TensorRT `module`; `report` gets fractions that only grow, from TensorRT's threads."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # known at run time only
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._phases = _Phases()
            self._most = 0.0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._phases.start(name, parent, steps)

        def step_complete(self, name: str, step: int) -> bool:
            self._phases.step(name, step)
            self._tell()
            return True  # False would stop the build

        def phase_finish(self, name: str) -> None:
            self._phases.finish(name)
            self._tell()

        def _tell(self) -> None:
            fraction = self._phases.fraction()
            if fraction > self._most:
                self._most = fraction
                report(fraction)

    return Monitor()
