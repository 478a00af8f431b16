"""`ospreyd demo`: the main job on an embedded camera, model and broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from daemon.errors import UsageError


def demo(
    seconds: Annotated[float, typer.Option(min=1, help="How long to watch.")] = 30.0,
    broker: Annotated[
        str | None, typer.Option(help="host:port of a broker to use in place of the embedded one.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the embedded broker; 0: a free one.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder for the films, pictures and messages.")] = Path("demo-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Films a drawn street, watches it as two cameras, and shows what an MQTT subscriber receives."""
    try:
        from daemon.demo.show import report, show  # noqa: PLC0415  its packages are an extra
    except ModuleNotFoundError as error:
        raise UsageError(f"the demo needs the package {error.name}: pip install 'ospreyd[demo]'") from None
    console = Console(stderr=as_json)
    summary = show(output, seconds, _address(broker), port, console)
    if as_json:
        typer.echo(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode())
    else:
        report(summary, console)


def _address(broker: str | None) -> tuple[str, int] | None:
    if broker is None:
        return None
    host, _, port = broker.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UsageError(f"--broker: must be host:port, got {broker!r}")
    return host.strip("[]"), int(port)
