// What the page knows of the device: the last message of each kind.

/** @typedef {{connected: boolean, since: string, detail: string}} Link */
/** @typedef {{number: number, event: Record<string, any>, picture: boolean, waits: boolean}} Happened */
/** @typedef {{status: Record<string, any>|null, settings: Record<string, any>, zones: Record<string, any>,
 *   lines: Record<string, any>}} Camera */

const MOST_EVENTS = 200;
const FIRST_REPORTS = 3; // the one that is there already is old
const SLOW_WAY = 1000; // milliseconds
const RATES = 30; // reports kept of each camera: a minute

export class Store extends EventTarget {
  constructor() {
    super();
    /** @type {Link|null} */
    this.daemon = null;
    /** @type {Link|null} */
    this.broker = null;
    /** @type {Record<string, any>|null} */
    this.info = null;
    /** @type {Record<string, any>|null} */
    this.stats = null;
    /** @type {{pictures: number, most: number}|null} */
    this.viewers = null;
    /** @type {string} why this page gets no pictures; empty where it does */
    this.noPictures = "";
    /** @type {Record<string, Camera>} */
    this.cameras = {};
    /** @type {Happened[]} newest first */
    this.events = [];
    /** @type {Record<string, {fps: number, p50: number|null, at: number}[]>} by camera, oldest first */
    this.rates = {};
    /** milliseconds that this clock is ahead of the device's, at most: reports take time to come */
    this.ahead = Infinity;
    this.reports = 0;
  }

  /** @param {string} name */
  camera(name) {
    return (this.cameras[name] ??= { status: null, settings: {}, zones: {}, lines: {} });
  }

  /** Names of all cameras, in the order of the configuration. */
  get names() {
    return /** @type {string[]} */ (this.info?.cameras ?? Object.keys(this.cameras));
  }

  /** How old something is, milliseconds; null until the device's clock is known. A difference that may be the way of
   * the reports is none: better an age that is too great than one that is too small. @param {string} time */
  age(time) {
    if (this.reports < FIRST_REPORTS) return null;
    const ahead = this.ahead >= 0 && this.ahead < SLOW_WAY ? 0 : this.ahead;
    return Math.max(0, Math.round(Date.now() - Date.parse(time) - ahead));
  }

  /** Calls a function after each change, until it is aborted. @param {(kind: string, message: any) => void} listener
   * @param {AbortSignal} signal */
  on(listener, signal) {
    this.addEventListener("change", (event) => {
      const { kind, message } = /** @type {CustomEvent} */ (event).detail;
      listener(kind, message);
    }, { signal });
  }

  /** @param {Record<string, any>} message with its `kind` */
  take(message) {
    const { kind } = message;
    if (kind === "daemon" && message.connected) this.cameras = {}; // all that holds comes behind it
    if (kind === "daemon" && message.connected && this.daemon && message.since !== this.daemon.since) this.events = []; // numbers begin again
    if (kind === "daemon" || kind === "broker") this[/** @type {"daemon"|"broker"} */ (kind)] = "connected" in message ? /** @type {any} */ (message) : null;
    else if (kind === "info") this.info = message;
    else if (kind === "viewers") this.viewers = /** @type {any} */ (message);
    else if (kind === "stats") this.#stats(message);
    else if (kind === "camera") this.camera(message.camera).status = message;
    else if (kind === "setting") this.camera(message.camera).settings[message.setting] = message;
    else if (kind === "zone") this.camera(message.camera).zones[message.zone] = message;
    else if (kind === "line") this.camera(message.camera).lines[message.line] = message;
    else if (kind === "gone") this.#gone(message);
    else if (kind === "event") this.events = [/** @type {any} */ (message), ...this.events].slice(0, MOST_EVENTS);
    else if (kind === "event-pictures") this.events = this.events.map((each) => (message.numbers.includes(each.number) ? { ...each, picture: true } : each));
    else if (kind === "pictures") this.noPictures = message.allowed ? "" : message.detail;
    this.dispatchEvent(new CustomEvent("change", { detail: { kind, message } }));
  }

  /** @param {Record<string, any>} message */
  #stats(message) {
    this.stats = message;
    this.reports += 1;
    this.ahead = Math.min(this.ahead, Date.now() - Date.parse(message.time));
    for (const [name, camera] of Object.entries(/** @type {Record<string, any>} */ (message.cameras))) {
      const rate = { fps: camera.fps, p50: camera.latency_ms.total?.p50 ?? null, at: Date.parse(message.time) };
      this.rates[name] = [...(this.rates[name] ?? []), rate].slice(-RATES);
    }
  }

  /** @param {Record<string, any>} message */
  #gone({ camera, zone, line }) {
    if (zone) delete this.cameras[camera]?.zones[zone];
    else if (line) delete this.cameras[camera]?.lines[line];
    else delete this.cameras[camera];
  }
}
