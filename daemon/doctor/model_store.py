"""The installed models: which one serves where none is named, and whether each is whole."""

from __future__ import annotations

from daemon.config.difference import used_models
from daemon.config.schema import Config
from daemon.doctor.finding import Finding, Problem
from daemon.errors import DaemonError
from daemon.modelstore import inventory
from daemon.modelstore.advice import get_command, no_default
from daemon.modelstore.install import damage


def models(config: Config | None) -> Finding:
    """Hashes what is installed; a damaged model stops ospreyd where the configuration uses it."""
    try:
        there, serving = inventory.installed(), inventory.default()
    except DaemonError as error:
        problem = Problem("models", str(error), "run this as the user that ospreyd runs as", stops=False)
        return Finding("models", str(error), {"default": None, "used": {}, "installed": {}}, (problem,))
    used = _used(config)
    damaged = {name: wrong for name, one in there.items() if (wrong := damage(one.folder)) is not None}
    problems = [
        Problem("models", wrong, there[name].mend(), stops=name in used.values()) for name, wrong in damaged.items()
    ]
    if config is None and serving is None:
        problems.append(Problem("models", "no detection model is installed", get_command(), stops=False))
    facts = {
        "default": None if serving is None else serving.name,
        "used": used,
        "installed": {name: {"path": str(one.path), "whole": name not in damaged} for name, one in there.items()},
    }
    listed = ", ".join(f"{name} ({'damaged' if name in damaged else 'whole'})" for name in there)
    serves = f"; {serving.name} serves where none is named" if serving is not None else ""
    none = "none is installed" if config is not None else no_default()
    return Finding("models", f"{listed}{serves}" if there else none, facts, tuple(problems))


def _used(config: Config | None) -> dict[str, str]:
    """The installed models that a configuration uses, by the names that it gives them."""
    if config is None:
        return {}
    files = {name: config.models[name].file for name in used_models(config)}
    return {name: found for name, file in files.items() if (found := inventory.named_after(file)) is not None}
