"""The state machine of a camera, as a table."""

from __future__ import annotations

import itertools

import pytest

from daemon.capture.state_machine import CameraCondition, CameraTrigger, next_state
from daemon.records import CameraState, Reason

CONNECTING, STREAMING = CameraCondition(CameraState.CONNECTING), CameraCondition(CameraState.STREAMING)
LOST = CameraCondition(CameraState.CONNECTING, Reason.ENDED)
SILENT, FROZEN = (
    CameraCondition(CameraState.STALLED, Reason.TIMEOUT),
    CameraCondition(CameraState.STALLED, Reason.FROZEN),
)
REFUSED, HUNG = (
    CameraCondition(CameraState.OFFLINE, Reason.REFUSED),
    CameraCondition(CameraState.OFFLINE, Reason.TIMEOUT),
)
ANY = (None, CONNECTING, STREAMING, LOST, SILENT, FROZEN, REFUSED, HUNG)


@pytest.mark.parametrize(
    ("before", "trigger", "reason", "then"),
    [
        (None, CameraTrigger.DISABLED, None, CameraCondition(CameraState.DISABLED)),
        (None, CameraTrigger.STARTED, None, CONNECTING),
        *((before, CameraTrigger.FRAME, None, STREAMING) for before in ANY),
        *((before, CameraTrigger.OPEN_FAILED, Reason.REFUSED, REFUSED) for before in ANY),
        *(
            (before, CameraTrigger.ENDED, Reason.ENDED, CameraCondition(CameraState.OFFLINE, Reason.ENDED))
            for before in ANY
        ),
        *((before, CameraTrigger.LOST, Reason.ENDED, LOST) for before in ANY),
        *((before, CameraTrigger.LOST, Reason.TIMEOUT, SILENT) for before in ANY),
        *((before, CameraTrigger.LOST, Reason.FROZEN, FROZEN) for before in ANY),
        (CONNECTING, CameraTrigger.CALL_HANGS, Reason.TIMEOUT, HUNG),
        (LOST, CameraTrigger.CALL_HANGS, Reason.TIMEOUT, HUNG),
        (STREAMING, CameraTrigger.CALL_HANGS, Reason.TIMEOUT, SILENT),
        *((before, CameraTrigger.CALL_HANGS, Reason.TIMEOUT, before) for before in (SILENT, FROZEN, REFUSED, HUNG)),
    ],
)
def test_next_state(
    before: CameraCondition | None, trigger: CameraTrigger, reason: Reason | None, then: CameraCondition
) -> None:
    assert next_state(before, trigger, reason) == then


@pytest.mark.parametrize(("before", "trigger"), list(itertools.product(ANY, CameraTrigger)))
def test_only_what_is_wrong_has_a_reason(before: CameraCondition | None, trigger: CameraTrigger) -> None:
    condition = next_state(before, trigger, Reason.NO_VIDEO)
    if condition.state in (CameraState.STALLED, CameraState.OFFLINE):
        assert condition.reason is not None
    if condition.state in (CameraState.STREAMING, CameraState.DISABLED):
        assert condition.reason is None
