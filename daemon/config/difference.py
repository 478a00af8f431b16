"""What is different between the configuration that runs and the one that is to run: pure."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.config.schema import Config
from daemon.config.section import Section

_FIXED = ("device", "mqtt", "service")
"""sections that hold for as long as the process"""
_FIXED_INFERENCE = frozenset({"backend"})
_LIVE_INFERENCE = frozenset({"max_delay_ms", "max_age_ms"})
_LIVE_CAMERA = frozenset({"model", "confidence", "labels", "priority", "fps"})
"""keys that change nothing about how a camera is opened"""
_LIVE_MODEL = frozenset({"confidence"})
"""keys that change nothing about a model's lane"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Names, each in the order of the configuration that it is in."""

    fixed: tuple[str, ...]
    """keys that are different and hold from the next start on"""
    added: tuple[str, ...]
    """cameras"""
    removed: tuple[str, ...]
    """cameras"""
    reopened: tuple[str, ...]
    """cameras that are opened otherwise, or are enabled or disabled"""
    changed: tuple[str, ...]
    """cameras that only their frames or detections are treated otherwise of"""
    models: tuple[str, ...]
    """models that a camera uses, and that are new or have to be opened anew"""
    unused: tuple[str, ...]
    """models that no camera uses any more"""
    inference: bool
    """the times that frames wait are different"""
    events: tuple[str, ...]
    """keys of `events` that are different"""

    def __bool__(self) -> bool:
        """Whether anything that can be changed is different."""
        cameras = self.added or self.removed or self.reopened or self.changed
        return bool(cameras or self.models or self.unused or self.inference or self.events)


def used_models(config: Config) -> tuple[str, ...]:
    """Names of the models that cameras use."""
    return tuple(sorted({camera.model for camera in config.cameras.values()}))


def difference(old: Config, new: Config) -> Difference:
    """What has to be done so that what runs with `old` runs with `new`."""
    both = [name for name in new.cameras if name in old.cameras]
    kept = {name: _different(old.cameras[name], new.cameras[name]) for name in both}
    reopened = {name for name, keys in kept.items() if keys - _LIVE_CAMERA}
    # the default of a camera's confidence and the places of its labels are its model's
    used, before = used_models(new), used_models(old)
    touched = {name for name in used if name in old.models and _different(old.models[name], new.models[name])}
    lanes = _different(old.inference, new.inference) - _FIXED_INFERENCE - _LIVE_INFERENCE
    return Difference(
        fixed=tuple(_fixed(old, new)),
        added=tuple(name for name in new.cameras if name not in old.cameras),
        removed=tuple(name for name in old.cameras if name not in new.cameras),
        reopened=tuple(name for name in both if name in reopened),
        changed=tuple(
            name for name in both if name not in reopened and (kept[name] or new.cameras[name].model in touched)
        ),
        models=tuple(
            name
            for name in used
            if name not in before or lanes or _different(old.models[name], new.models[name]) - _LIVE_MODEL
        ),
        unused=tuple(name for name in before if name not in used),
        inference=bool(_different(old.inference, new.inference) & _LIVE_INFERENCE),
        events=tuple(sorted(_different(old.events, new.events))),
    )


def _different(old: Section, new: Section) -> set[str]:
    """Keys of a section whose values differ."""
    return {key for key in type(old).model_fields if getattr(old, key) != getattr(new, key)}


def _fixed(old: Config, new: Config) -> list[str]:
    found = []
    for section in _FIXED:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, Section) and isinstance(after, Section):
            found += [f"{section}.{key}" for key in type(before).model_fields if key in _different(before, after)]
        elif before != after:
            found.append(section)
    return found + [f"inference.{key}" for key in sorted(_different(old.inference, new.inference) & _FIXED_INFERENCE)]
