"""A live picture: the newest one is shown, asked for only while it is seen, with the zones that hold now."""

from __future__ import annotations

from typing import Any

from tests.web.browser.browsing import go
from tests.web.browser.site import Site

ALONE = """
async () => {
  const [{ Picture }, { Store }] = await Promise.all([import("./picture.js"), import("./store.js")]);
  let seen, show;
  window.IntersectionObserver = class { constructor(told) { seen = told; } observe() {} disconnect() {} };
  const asked = [];
  const live = { store: new Store(), want: (camera, wish, picture) => {
    show = picture;
    return { show: (visible) => asked.push(visible), close: () => asked.push("closed") };
  } };
  const ends = new AbortController();
  const picture = new Picture(live, "front", { width: 64, fps: 2, edited: true }, ends.signal);
"""
"""the module with a stand-in for the connection"""
UNPACKED = """
  const waits = [];
  const bitmaps = await Promise.all([1, 2, 3, 4].map(() => createImageBitmap(new ImageData(2, 2))));
  window.createImageBitmap = () => new Promise((resolve, reject) => {
    waits.push({ resolve: () => resolve(bitmaps.pop()), reject });
  });
  const sequences = [];
  picture.draw = () => sequences.push(picture.head.sequence);
  const head = (sequence) => ({ sequence, edited: true, boxes_of: null, captured_at: "2026-11-28T08:00:00.000Z" });
  const shown = [1, 2, 3, 4].map((sequence) => show(head(sequence), new Blob()));
  waits[1].resolve();
  await shown[1];
  waits[0].resolve();
  waits[2].reject(new Error("damaged"));
  waits[3].resolve();
  await Promise.all(shown);
  ends.abort();
  return sequences;
}
"""
SEEN = """
  const look = (...ways) => seen(ways.map((isIntersecting) => ({ isIntersecting })));
  const steps = [() => look(true), () => look(true, false), () => look(false, true), () => picture.freeze(true),
    () => look(false), () => look(true), () => picture.freeze(false), () => picture.freeze(true), () => look(false),
    () => picture.freeze(false), () => ends.abort()];
  return steps.map((step) => {
    step();
    return asked.at(-1);
  });
}
"""


def alone(site: Site, what: str) -> Any:
    with site.visit() as page:
        page.locator("nav").wait_for()
        return page.evaluate(ALONE + what)


def test_a_picture_that_is_unpacked_late_does_not_replace_a_newer_one(site: Site) -> None:
    assert alone(site, UNPACKED) == [2, 4]


def test_a_picture_is_asked_for_while_it_is_in_sight_and_not_frozen(site: Site) -> None:
    assert alone(site, SEEN) == [True, False, True, False, False, False, True, False, False, False, "closed"]


def test_a_zone_that_is_saved_elsewhere_appears(site: Site) -> None:
    path, zone = "api/cameras/spare/shapes", {"polygon": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}
    with site.visit() as page:
        go(page, "#/camera/spare")
        page.locator(".two .picture.live").wait_for()
        late = page.locator(".overlay .zone", has_text="late")
        assert late.count() == 0
        file = site.client.get(path).json()
        for zones in ({**file["shapes"]["zones"], "late": zone}, file["shapes"]["zones"]):
            shapes = {**file["shapes"], "zones": zones}
            headers = {"If-Match": site.client.get(path).json()["revision"]}
            assert site.client.put(path, json={"shapes": shapes}, headers=headers).status_code == 200
            late.wait_for(state="attached" if "late" in zones else "detached")
