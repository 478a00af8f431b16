// What the page keeps of what it is sent, and ages on a clock that is not the device's.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Store } from "../../../daemon/web/static/store.js";

const report = (late) => ({ kind: "stats", time: new Date(Date.now() - late).toISOString(), cameras: {} });
const ageOf = (store, old) => store.age(new Date(Date.now() - old).toISOString());
const near = (value, expected) => assert.ok(Math.abs(value - expected) < 100, `${value} is not about ${expected}`);

test("no age is given before the device's clock is known", () => {
  const store = new Store();
  store.take(report(1800));
  store.take(report(40));
  assert.equal(ageOf(store, 200), null);
});

test("a report that comes late makes nothing younger", () => {
  const store = new Store();
  for (const late of [1800, 600, 700]) store.take(report(late));
  near(ageOf(store, 300), 300);
});

test("a clock that is behind or far ahead is allowed for", () => {
  for (const ahead of [-90_000, 7_200_000]) {
    const store = new Store();
    for (let i = 0; i < 3; i++) store.take(report(ahead));
    near(ageOf(store, ahead + 250), 250);
  }
});

const daemon = (since, connected = true) => ({ kind: "daemon", connected, since, detail: "" });
const event = (number) => ({ kind: "event", number, picture: true, waits: false, event: { camera: "front" } });

test("events of a daemon that has ended are not mixed with those of the next, which has the same numbers", () => {
  const store = new Store();
  const numbers = () => store.events.map((each) => each.number);
  for (const message of [daemon("1"), event(1), event(2)]) store.take(message);
  store.take(daemon("1"));
  assert.deepEqual(numbers(), [2, 1], "the page's own connection was lost, not the daemon");
  store.take(daemon("2", false));
  assert.deepEqual(numbers(), [2, 1]);
  for (const message of [daemon("3"), event(1)]) store.take(message);
  assert.deepEqual(numbers(), [1]);
});

test("what was taken away while the page was not connected is not shown for ever", () => {
  const store = new Store();
  const info = { kind: "info", cameras: ["front"] };
  const status = { kind: "camera", camera: "front", state: "streaming" };
  const zone = { kind: "zone", camera: "front", zone: "porch", counts: {} };
  for (const message of [daemon("1"), info, status, zone]) store.take(message);
  assert.deepEqual(Object.keys(store.cameras.front.zones), ["porch"]);
  store.take(daemon("2", false));
  assert.deepEqual(Object.keys(store.cameras.front.zones), ["porch"], "the last that is known");
  store.take(daemon("3"));
  assert.deepEqual(store.names, ["front"]);
  for (const message of [info, status]) store.take(message);
  assert.equal(store.cameras.front.status.state, "streaming");
  assert.deepEqual(store.cameras.front.zones, {});
});

test("the picture of an event comes a little after it", () => {
  const store = new Store();
  for (const number of [1, 2, 3]) store.take({ ...event(number), picture: false });
  store.take({ kind: "event-pictures", numbers: [1, 3] });
  assert.deepEqual(store.events.map((each) => each.picture), [true, false, true]);
});
