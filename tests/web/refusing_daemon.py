"""ospreyd that refuses to run with a zone named `refuse` although it has found nothing wrong with it."""

from __future__ import annotations

from daemon.__main__ import main
from daemon.app.pipeline import Pipeline
from daemon.app.reload import Plan
from daemon.errors import UsageError

_apply = Pipeline.apply


def _refusing(self: Pipeline, plan: Plan) -> None:
    if any("refuse" in camera.zones for camera in plan.config.cameras.values()):
        raise UsageError("this is refused")
    _apply(self, plan)


if __name__ == "__main__":
    Pipeline.apply = _refusing  # type: ignore[method-assign]
    main()
