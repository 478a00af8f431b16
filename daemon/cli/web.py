"""`ospreyd web`: the web page, or a link that logs in to it."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from daemon.config.page import PageConfig, load_page
from daemon.errors import UsageError
from daemon.system.login_links import make_token
from engines.folders import runtime_folder

_OF_THE_SERVICE = Path("/run/ospreyd")
_NEEDED = ("starlette", "uvicorn", "wsproto", "argon2")


def web(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)],
    link: Annotated[
        bool, typer.Option("--link", help="Only print a link that logs in once, within 10 minutes.")
    ] = False,
) -> None:
    """Serves the web page of a running daemon until SIGTERM or Ctrl-C."""
    page = load_page(config)
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UsageError(f"the web page needs {', '.join(missing)}: pip install 'ospreyd[web]'")
    if link:
        typer.echo(_link(page))
        return
    serving = import_module("daemon.web.serving")  # only here: no other command needs these packages
    raise typer.Exit(serving.serve(page))


def _link(page: PageConfig) -> str:
    """Raises UsageError."""
    folder = runtime_folder()
    if "RUNTIME_DIRECTORY" not in os.environ and os.geteuid() == 0 and _OF_THE_SERVICE.is_dir():
        folder = _OF_THE_SERVICE
    try:
        token = make_token(folder, page.device)
    except OSError as error:
        raise UsageError(
            f"no link can be made in {folder}: {error.strerror}; run this as root, or as the user of the page's process"
        ) from None
    scheme = "http" if page.web.tls is None else "https"
    host = "127.0.0.1" if page.web.host in ("0.0.0.0", "::") else page.web.host  # noqa: S104 - it is compared
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{page.web.port}/#token={token}"
