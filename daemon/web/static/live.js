// The connection of the page: states come, and pictures that were asked for, one credit each.

/** @typedef {{camera: string, sequence: number, captured_at: string, width: number, height: number,
 *   boxes_of: number|null, edited: boolean}} PictureHead */
/** @typedef {{width: number, fps: number, edited: boolean}} Wish */
/** @typedef {{wish: Wish, visible: boolean, picture: (head: PictureHead, jpeg: Blob) => Promise<void>}} Want */
/** @typedef {import("./store.js").Store} Store */

const CREDITS = 2;
const LONGEST_WAIT = 2000; // milliseconds between two tries to connect
const NOT_LOGGED_IN = 4401;

export class Live extends EventTarget {
  /** @param {Store} store @param {() => void} loggedOut */
  constructor(store, loggedOut) {
    super();
    this.store = store;
    this.loggedOut = loggedOut;
    /** @type {Map<string, Want>} */
    this.wants = new Map();
    /** @type {WebSocket|null} */
    this.socket = null;
    this.open = false;
    this.since = new Date().toISOString();
    this.wait = 250;
    this.watched = "{}";
    this.closed = false;
    this.hidden = () => this.#watch();
    document.addEventListener("visibilitychange", this.hidden);
    this.#connect();
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.hidden);
    this.socket?.close();
  }

  /** Asks for pictures of a camera. @param {string} camera @param {Wish} wish @param {Want["picture"]} picture
   * @returns {{show: (visible: boolean) => void, close: () => void}} */
  want(camera, wish, picture) {
    const want = { wish, visible: true, picture };
    this.wants.set(camera, want);
    queueMicrotask(() => this.#watch());
    return {
      show: (visible) => {
        if (visible === want.visible) return;
        want.visible = visible;
        this.#watch();
      },
      close: () => {
        if (this.wants.get(camera) === want) this.wants.delete(camera);
        queueMicrotask(() => this.#watch());
      },
    };
  }

  #connect() {
    const url = new URL("api/live", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#text(JSON.parse(data)) : this.#picture(data));
    socket.onclose = ({ code }) => this.#lost(code);
    this.socket = socket;
  }

  #opened() {
    this.wait = 250;
    this.#state(true);
    this.#watchAgain();
  }

  /** @param {Record<string, any>} message */
  #text(message) {
    this.store.take(message);
    if (message.kind === "viewers" && this.store.noPictures && message.pictures < message.most) this.#watchAgain();
  }

  /** Says what is to be seen to who does not know it, or did not give it. */
  #watchAgain() {
    this.watched = "{}";
    this.#watch();
  }

  /** @param {number} code */
  #lost(code) {
    if (this.closed) return;
    this.#state(false);
    if (code === NOT_LOGGED_IN) {
      this.loggedOut();
      return;
    }
    setTimeout(() => this.closed || this.#connect(), this.wait);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
  }

  /** @param {boolean} open */
  #state(open) {
    if (this.open !== open) this.since = new Date().toISOString();
    this.open = open;
    this.store.take({ kind: "live" });
  }

  /** @param {Record<string, unknown>} message */
  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Says what is to be seen now: nothing of it while the tab is hidden. */
  #watch() {
    const seen = document.hidden ? [] : [...this.wants].filter(([, want]) => want.visible);
    const watch = Object.fromEntries(seen.map(([camera, { wish }]) => [camera, wish]));
    const said = JSON.stringify(watch);
    if (said === this.watched) return;
    this.watched = said;
    this.#send({ watch });
    for (const [camera] of seen) for (let i = 0; i < CREDITS; i++) this.#send({ more: camera });
  }

  /** @param {ArrayBuffer} data */
  async #picture(data) {
    const length = new DataView(data).getUint32(0);
    const head = /** @type {PictureHead} */ (JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))));
    const want = this.wants.get(head.camera);
    if (!want) return;
    const jpeg = new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" });
    await want.picture(head, jpeg).catch(reportError); // told in the console; the next picture comes all the same
    if (want.visible && !document.hidden) this.#send({ more: head.camera });
  }
}
