"""The page's process is killed while somebody looks and somebody saves; the file is the old or the new one then."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx

from daemon.web.shape_values import Shapes, changed_text
from tests.conftest import wait_for
from tests.web.running import WebPage

_LONGEST = 0.6
"""seconds within which a save is done, on a machine that is not busy"""


def killed_while_saving(web: WebPage, client: httpx.Client, camera: str, chance: random.Random) -> bool:
    """Kills it at a random moment of a save of one more zone; whether the new text is there. The file must be whole."""
    file = web.folder / "box.yaml"
    before = file.read_bytes().decode()
    path = f"api/cameras/{camera}/shapes"
    wait_for(lambda: client.get(path).status_code == 200, "the daemon's cameras, after the page's process has begun")
    found = client.get(path).json()
    size = round(chance.uniform(0.1, 0.9), 3)
    zones = {**found["shapes"]["zones"], "porch": {"polygon": [[0, 0], [size, 0], [size, size]]}}
    shapes = {**found["shapes"], "zones": zones}
    after = changed_text(before, camera, Shapes.model_validate(shapes))
    assert after != before
    with ThreadPoolExecutor(1) as thread:
        saving = thread.submit(_save, client, path, shapes, found["revision"])
        time.sleep(chance.uniform(0, _LONGEST))
        web.process.kill()
        web.process.wait()
        saved = saving.result()
    now = file.read_bytes().decode()
    assert now in (before, after)
    assert not saved or now == after, "who was told so finds it saved"
    return now == after


def _save(client: httpx.Client, path: str, shapes: object, revision: str) -> bool:
    with suppress(httpx.TransportError):
        return client.put(path, json={"shapes": shapes}, headers={"If-Match": revision}).status_code == 200
    return False
