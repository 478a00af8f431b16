"""`ospreyd watch`: a live table of what a broker carries."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from daemon.config.load import load
from daemon.config.mqtt import Mqtt, Tls
from daemon.errors import DaemonError, UsageError
from daemon.mqtt.link import Link, LinkState
from daemon.tools.watch import Seen

_PASSWORD = "OSPREYD_MQTT_PASSWORD"  # noqa: S105 - the variable's name
_ANSWER_WITHIN = 30.0  # seconds for the first answer of a broker, in either version of MQTT
_HEADS = ("device", "camera", "state", "fps", "p50 ms", "p95 ms", "dropped", "last seen", "objects")
_NUMBERS = frozenset({"fps", "p50 ms", "p95 ms", "dropped", "last seen"})
_COLOURS = {"streaming": "green", "offline": "red", "stalled": "red", "online": "green"}


def watch(
    config: Annotated[
        Path | None, typer.Argument(help="Configuration file (YAML) that names the broker.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="The broker's host name or address.")] = "localhost",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; default: 1883, with TLS 8883.")] = None,
    username: Annotated[str | None, typer.Option(help=f"Log in; the password comes from {_PASSWORD}.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt the connection.")] = False,
    ca: Annotated[Path | None, typer.Option(help="CA certificates to trust, PEM; implies --tls.")] = None,
    prefix: Annotated[str, typer.Option(help="What the topics begin with.")] = "ospreyd",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    count: Annotated[int, typer.Option(min=0, help="End after so many looks; 0: when you stop it.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line for each look.")] = False,
) -> None:
    """Shows devices, cameras, states, rates, latencies and what was seen last, from any broker.

    Without a configuration file the broker is that of the options.
    """
    if config is not None:
        mqtt = load(config).mqtt
    else:
        mqtt = _broker(host, port, username, Tls(ca=ca) if tls or ca else None, prefix)
    logging.getLogger("ospreyd.mqtt").setLevel(logging.ERROR)  # the table says how the connection stands
    seen, states, failures = Seen(mqtt.prefix), SimpleQueue[LinkState](), list[BaseException]()
    name = f"ospreyd-watch-{secrets.token_hex(4)}"
    link = Link(mqtt, name, None, states.put, failures.append, seen.subscription)
    link.start()
    try:
        _wait_connected(states)
        _look(seen, link, every, count, as_json)
    except KeyboardInterrupt:
        pass
    finally:
        link.stop(2)
    if failures:
        raise failures[0]


def _broker(host: str, port: int | None, username: str | None, tls: Tls | None, prefix: str) -> Mqtt:
    password = os.environ.get(_PASSWORD) if username else None
    values = {"host": host, "port": port, "username": username, "password": password, "tls": tls, "prefix": prefix}
    try:
        return Mqtt.model_validate(values)
    except ValueError:
        raise UsageError("--host must not be empty, and --prefix be topic levels with / between them") from None


def _wait_connected(states: SimpleQueue[LinkState]) -> None:
    """Raises DaemonError with what the first attempt has come to."""
    try:
        state = states.get(timeout=_ANSWER_WITHIN)
    except Empty:
        raise DaemonError(f"the broker has not answered within {_ANSWER_WITHIN:g} s") from None
    if not state.connected:
        raise DaemonError(state.detail)


def _look(seen: Seen, link: Link, every: float, count: int, as_json: bool) -> None:
    def document() -> dict[str, Any]:
        return {"broker": {"connected": link.state.connected, "detail": link.state.detail}, **seen.report()}

    if as_json:
        _repeat(lambda: typer.echo(orjson.dumps(document()).decode()), every, count)
    elif sys.stdout.isatty():
        with Live(table(document()), auto_refresh=False, screen=False) as live:
            _repeat(lambda: live.update(table(document()), refresh=True), every, count)
    else:
        console = Console(width=160)
        _repeat(lambda: console.print(table(document())), every, count)


def _repeat(show: Callable[[], None], every: float, count: int) -> None:
    looks = 0
    while not count or looks < count:
        time.sleep(every)
        show()
        looks += 1


def table(document: dict[str, Any]) -> Table:
    """A look as a table. Nothing that came over the network is taken for markup or control codes."""
    made = Table(title=Text(document["broker"]["detail"]), title_justify="left")
    for head in _HEADS:
        made.add_column(head, justify="right" if head in _NUMBERS else "left")
    for device in document["devices"]:
        made.add_row(_cell(device["device"]), _cell(device["backend"] or "-"), _cell(device["status"]))
        for camera in device["cameras"]:
            made.add_row("", *_cells(camera))
    return made


def _cells(camera: dict[str, Any]) -> list[Text]:
    state = camera["state"] + (f" ({camera['reason']})" if camera["reason"] else "")
    latency = camera["latency_ms"] or {"p50": None, "p95": None}
    numbers = [camera["fps"], latency["p50"], latency["p95"], camera["dropped"]]
    seen = "-" if camera["age_s"] is None else f"{camera['age_s']:.0f} s ago"
    objects = "; ".join([_counts(camera["objects"]), *areas(camera)])
    return [
        _cell(camera["camera"]),
        _cell(state),
        *(Text("-" if number is None else str(number)) for number in numbers),
        Text(seen),
        _cell(objects),
    ]


def _counts(objects: dict[str, int]) -> str:
    return ", ".join(f"{number} {label}" for label, number in sorted(objects.items()))


def areas(camera: dict[str, Any]) -> list[str]:
    """Who is in each zone, and how many have crossed each line."""
    zones = [f"{name}: {_counts(objects) or 'nobody'}" for name, objects in sorted(camera.get("zones", {}).items())]
    lines = sorted(camera.get("lines", {}).items())
    return zones + [f"{name}: {crossed['in']} in, {crossed['out']} out" for name, crossed in lines]


def _cell(text: str) -> Text:
    """What came over the network, as plain text."""
    return Text("".join(c if c.isprintable() else "?" for c in text), _COLOURS.get(text.partition(" ")[0], ""))
