"""Who may do what."""

from __future__ import annotations

from starlette.requests import Request

from daemon.web.answers import Refusal
from daemon.web.known_state import KnownState
from daemon.web.request_rules import Caller
from daemon.web.sessions import Role


def needs(request: Request, role: Role) -> Caller:
    """Who makes the request. Raises Refusal where they may not, as nobody may change a page that is read-only."""
    caller: Caller = request.state.caller
    if caller.role is None:
        raise Refusal(401, "not-logged-in", "log in first; `ospreyd web --link` gives a link that does it")
    if role == "edit" and caller.role != "edit":
        raise Refusal(403, "forbidden", "you may look, but not do this; log in with the other password or a link")
    if request.method != "GET" and request.app.state.read_only:
        raise Refusal(403, "forbidden", "service.web.read_only is set: nobody may change anything here")
    return caller


def camera_of(request: Request, state: KnownState) -> str:
    """The camera in the path. Raises Refusal where the daemon has none of that name."""
    name = str(request.path_params["camera"])
    if not state.cameras:
        raise Refusal(503, "daemon-away", "ospreyd does not run, or has just started; try again")
    if name not in state.cameras:
        raise Refusal(404, "not-found", "there is no such camera")
    return name
