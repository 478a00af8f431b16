"""The state machine of a camera, as a table."""

from __future__ import annotations

import itertools

import pytest

from daemon.capture.state_machine import Happening, Standing, after
from daemon.records import CameraState, Reason

CONNECTING, STREAMING = Standing(CameraState.CONNECTING), Standing(CameraState.STREAMING)
LOST = Standing(CameraState.CONNECTING, Reason.ENDED)
SILENT, FROZEN = Standing(CameraState.STALLED, Reason.TIMEOUT), Standing(CameraState.STALLED, Reason.FROZEN)
REFUSED, HUNG = Standing(CameraState.OFFLINE, Reason.REFUSED), Standing(CameraState.OFFLINE, Reason.TIMEOUT)
ANY = (None, CONNECTING, STREAMING, LOST, SILENT, FROZEN, REFUSED, HUNG)


@pytest.mark.parametrize(
    ("before", "what", "reason", "then"),
    [
        (None, Happening.SWITCHED_OFF, None, Standing(CameraState.DISABLED)),
        (None, Happening.STARTED, None, CONNECTING),
        *((before, Happening.FRAME, None, STREAMING) for before in ANY),
        *((before, Happening.NOT_OPENED, Reason.REFUSED, REFUSED) for before in ANY),
        *((before, Happening.ENDED, Reason.ENDED, Standing(CameraState.OFFLINE, Reason.ENDED)) for before in ANY),
        *((before, Happening.LOST, Reason.ENDED, LOST) for before in ANY),
        *((before, Happening.LOST, Reason.TIMEOUT, SILENT) for before in ANY),
        *((before, Happening.LOST, Reason.FROZEN, FROZEN) for before in ANY),
        (CONNECTING, Happening.HANGS, Reason.TIMEOUT, HUNG),
        (LOST, Happening.HANGS, Reason.TIMEOUT, HUNG),
        (STREAMING, Happening.HANGS, Reason.TIMEOUT, SILENT),
        *((before, Happening.HANGS, Reason.TIMEOUT, before) for before in (SILENT, FROZEN, REFUSED, HUNG)),
    ],
)
def test_what_happens_leads_to(before: Standing | None, what: Happening, reason: Reason | None, then: Standing) -> None:
    assert after(before, what, reason) == then


@pytest.mark.parametrize(("before", "what"), list(itertools.product(ANY, Happening)))
def test_a_state_explains_itself_where_something_is_wrong(before: Standing | None, what: Happening) -> None:
    standing = after(before, what, Reason.NO_VIDEO)
    if standing.state in (CameraState.STALLED, CameraState.OFFLINE):
        assert standing.reason is not None
    if standing.state in (CameraState.STREAMING, CameraState.DISABLED):
        assert standing.reason is None
