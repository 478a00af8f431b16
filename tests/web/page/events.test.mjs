// Events that the page asks for, beside those that come by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { loadEvents } from "../../../daemon/web/static/camera.js";
import { Store } from "../../../daemon/web/static/store.js";

const happened = (number, more = {}) => ({ number, picture: false, waits: false, event: { camera: "front" }, ...more });
const answer = (events) => {
  globalThis.fetch = async () => new Response(JSON.stringify({ events }), { headers: { "Content-Type": "application/json" } });
};

test("what has waited for the broker once does not wait for ever", async () => {
  const store = new Store();
  store.take({ kind: "event", ...happened(2, { waits: true }) });
  answer([happened(1), happened(2), happened(3, { waits: true })]);
  await loadEvents(store);
  assert.deepEqual(store.events.map(({ number, waits }) => [number, waits]), [[3, true], [2, false], [1, false]]);
});

test("a picture that came while it was asked stays, and no answer takes nothing away", async () => {
  const store = new Store();
  store.take({ kind: "event", ...happened(1) });
  answer([happened(1)]);
  const asked = loadEvents(store);
  store.take({ kind: "event-pictures", numbers: [1] });
  await asked;
  globalThis.fetch = async () => { throw new TypeError("away"); };
  await loadEvents(store);
  assert.deepEqual(store.events.map(({ number, picture }) => [number, picture]), [[1, true]]);
});
