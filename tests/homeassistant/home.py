"""Home Assistant's core with its MQTT integration, run by its own Python: `python home.py FOLDER BROKER_PORT OWN_PORT`.

It reads one JSON document a line and answers each with one: `{"entities": true}` with every entity by its unique_id,
`{"call": [domain, service, data]}` when the service has been called, `{"image": entity_id}` with its size in bytes.
What it thinks of what it finds goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from homeassistant import auth, config_entries, loader
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    issue_registry,
    label_registry,
    restore_state,
    template,
    translation,
)
from homeassistant.setup import async_setup_component


async def begin(folder: str, port: int, own_port: int) -> HomeAssistant:
    """The parts of its start that the MQTT integration needs; its own start would bring the whole front end."""
    home = HomeAssistant(folder)
    home.config.skip_pip = True
    loader.async_setup(home)
    entity.async_setup(home)
    home.config_entries = config_entries.ConfigEntries(home, {})
    await home.config_entries.async_initialize()
    template.async_setup(home)
    translation.async_setup(home)
    for registry in (area_registry, device_registry, entity_registry, floor_registry, issue_registry, label_registry):
        await registry.async_load(home)
    await restore_state.async_load(home)
    home.auth = await auth.auth_manager_from_config(home, [], [])
    await async_setup_component(home, "http", {"http": {"server_host": "127.0.0.1", "server_port": own_port}})
    await home.async_start()
    broker = {"broker": "127.0.0.1", "port": port, "protocol": "5", "discovery": True}
    entry = config_entries.ConfigEntry(
        version=1, minor_version=1, domain="mqtt", title="broker", data=broker, source="user"
    )
    await home.config_entries.async_add(entry)
    if entry.state is not config_entries.ConfigEntryState.LOADED:
        raise SystemExit(f"the MQTT integration is {entry.state}")
    return home


def entities(home: HomeAssistant) -> dict[str, Any]:
    """Every entity that the MQTT integration has made."""
    devices = device_registry.async_get(home)
    found = {}
    for entry in entity_registry.async_get(home).entities.values():
        state = home.states.get(entry.entity_id)
        device = devices.async_get(entry.device_id) if entry.device_id else None
        via = devices.async_get(device.via_device_id) if device and device.via_device_id else None
        found[entry.unique_id] = {
            "entity_id": entry.entity_id,
            "state": state.state if state else None,
            "attributes": dict(state.attributes) if state else {},
            "device": device.name if device else None,
            "via": via.name if via else None,
        }
    return found


async def answer(home: HomeAssistant, asked: dict[str, Any]) -> Any:
    """What a line asks for."""
    if "call" in asked:
        domain, service, data = asked["call"]
        await home.services.async_call(domain, service, data, blocking=True)
        return True
    if "image" in asked:
        image = home.data["image"].get_entity(asked["image"])
        return len(await image.async_image() or b"")
    return entities(home)


async def main() -> None:
    """Serves standard input until it ends."""
    home = await begin(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps("ready"), flush=True)  # noqa: T201
    while line := await home.loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(home, json.loads(line)), default=str), flush=True)  # noqa: T201
    await home.async_stop(force=True)


asyncio.run(main())
