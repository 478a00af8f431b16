// What the page says over its socket, so that every picture that is to be seen goes on coming.

import assert from "node:assert/strict";
import { test } from "node:test";

const listeners = new Set();
globalThis.document = {
  baseURI: "http://box/",
  hidden: false,
  addEventListener: (_, listener) => listeners.add(listener),
  removeEventListener: (_, listener) => listeners.delete(listener),
};

/** The latest socket, which opens when the test says so. */
class Socket {
  static OPEN = 1;
  static latest;
  constructor() {
    Socket.latest = this;
    this.readyState = 0;
    this.said = [];
  }
  send(text) {
    this.said.push(JSON.parse(text));
  }
  close() {}
  opens() {
    this.readyState = Socket.OPEN;
    this.onopen();
  }
  text(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  picture(camera) {
    const head = new TextEncoder().encode(JSON.stringify({ camera }));
    const data = new Uint8Array(4 + head.length + 1);
    new DataView(data.buffer).setUint32(0, head.length);
    data.set(head, 4);
    this.onmessage({ data: data.buffer });
  }
  /** What was said since the last time. */
  heard() {
    return this.said.splice(0);
  }
}
globalThis.WebSocket = Socket;

const { Live } = await import("../../../daemon/web/static/live.js");
const { Store } = await import("../../../daemon/web/static/store.js");

const WISH = { width: 640, fps: 2, edited: true };
const BEGIN = [{ watch: { front: WISH } }, { more: "front" }, { more: "front" }];
const microtasks = () => new Promise((resolve) => setImmediate(resolve));

async function looking(picture = async () => {}) {
  const live = new Live(new Store(), () => {});
  const want = live.want("front", WISH, picture);
  Socket.latest.opens();
  await microtasks();
  assert.deepEqual(Socket.latest.heard(), BEGIN);
  return { live, want, socket: Socket.latest };
}

test("a picture that cannot be drawn is not the last one", async () => {
  const told = [];
  globalThis.reportError = (error) => told.push(error.message);
  const { socket } = await looking(() => Promise.reject(new Error("drawing")));
  socket.picture("front");
  await microtasks();
  assert.deepEqual(socket.heard(), [{ more: "front" }]);
  assert.deepEqual(told, ["drawing"]);
});

test("a page that got no pictures asks again once another page has gone, and only then", async () => {
  const { socket } = await looking();
  const viewers = (pictures) => socket.text({ kind: "viewers", pictures, most: 4 });
  viewers(3);
  socket.text({ kind: "pictures", allowed: false, detail: "four pages have them" });
  viewers(4);
  assert.deepEqual(socket.heard(), []);
  viewers(3);
  assert.deepEqual(socket.heard(), BEGIN);
  socket.text({ kind: "pictures", allowed: true, detail: "" });
  for (const count of [4, 3]) viewers(count);
  assert.deepEqual(socket.heard(), []);
});

test("a hidden tab asks for nothing, and for everything when it is seen again", async () => {
  const { socket } = await looking();
  const hide = (hidden) => {
    document.hidden = hidden;
    for (const listener of listeners) listener();
  };
  hide(true);
  socket.picture("front"); // that was on its way
  await microtasks();
  assert.deepEqual(socket.heard(), [{ watch: {} }]);
  hide(false);
  assert.deepEqual(socket.heard(), BEGIN);
});

test("views that follow one another with the same wish share no picture and lose none", async () => {
  const shown = [];
  const { live, want, socket } = await looking(async () => shown.push("first"));
  live.want("front", WISH, async () => shown.push("second"));
  want.close();
  await microtasks();
  socket.picture("front");
  await microtasks();
  assert.deepEqual(shown, ["second"]);
  assert.deepEqual(socket.heard(), [{ more: "front" }]);
  assert.equal(live.wants.size, 1);
});
