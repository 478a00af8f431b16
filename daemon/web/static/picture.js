// A live picture on a canvas, with an overlay on top. Never shows an old picture as live.

import { h, s, say } from "./dom.js";
import { clock } from "./format.js";
import { texts } from "./texts.js";
import { Tracks } from "./tracks.js";

/** @typedef {import("./live.js").PictureHead} Head */
/** @typedef {import("./geometry.js").Point} Point */
const OLD = 3000; // milliseconds after which a picture is not live

export class Picture {
  /** @param {import("./live.js").Live} live @param {string} camera @param {import("./live.js").Wish} wish
   * @param {AbortSignal} signal */
  constructor(live, camera, wish, signal) {
    this.store = live.store;
    this.camera = camera;
    this.edited = wish.edited;
    this.frozen = false;
    this.inSight = true;
    this.came = 0; // how many pictures, and the number of the one that is shown
    this.shown = 0;
    /** @type {number[]|null} the part of the turned picture that is analysed */
    this.crop = null;
    this.tracks = new Tracks();
    /** @type {Head|null} of the picture that is shown */
    this.head = null;
    this.shownAt = 0;
    /** whether the boxes are of the very picture that is shown */
    this.fits = false;
    this.canvas = h("canvas", { width: 16, height: 9, role: "img", "aria-label": `${texts.camera} ${camera}` });
    this.overlay = s("svg", { class: "overlay", "aria-hidden": "true" });
    this.note = h("p", { class: "no-picture" });
    this.element = h("div", { class: "picture" }, this.canvas, this.overlay, this.note);
    /** @type {() => void} */
    this.draw = () => {};
    this.want = live.want(camera, wish, (head, jpeg) => this.#show(head, jpeg));
    this.store.on((kind, message) => this.#hear(kind, message), signal);
    const seen = new IntersectionObserver((entries) => {
      this.inSight = entries[entries.length - 1].isIntersecting; // the last of what has changed since
      this.#ask();
    }, { rootMargin: "50px" });
    const sized = new ResizeObserver(() => this.element.clientWidth && this.draw());
    const timer = setInterval(() => this.check(), 500);
    seen.observe(this.element);
    sized.observe(this.element);
    signal.addEventListener("abort", () => {
      this.want.close();
      seen.disconnect();
      sized.disconnect();
      clearInterval(timer);
    });
    this.check();
  }

  /** Whether what is shown is of now. */
  get isLive() {
    return this.head !== null && Date.now() - this.shownAt < OLD && this.state === "streaming";
  }

  get status() {
    return this.store.cameras[this.camera]?.status ?? null;
  }

  get state() {
    return this.status?.state ?? "unknown";
  }

  /** Stays at the picture that is shown, or goes on. @param {boolean} frozen */
  freeze(frozen) {
    this.frozen = frozen;
    this.#ask();
  }

  #ask() {
    this.want.show(this.inSight && !this.frozen);
  }

  /** A point of the turned picture on this element, pixels. @param {Point} point @returns {[number, number]} */
  at([x, y]) {
    const [left, top, right, bottom] = (this.edited && this.crop) || [0, 0, 1, 1];
    const { clientWidth: width, clientHeight: height } = this.element;
    return [((x - left) / (right - left)) * width, ((y - top) / (bottom - top)) * height];
  }

  /** @param {Head} head @param {Blob} jpeg */
  async #show(head, jpeg) {
    if (this.frozen || head.edited !== this.edited) return;
    const number = ++this.came;
    try {
      const bitmap = await createImageBitmap(jpeg);
      if (number < this.shown) return; // a newer one was unpacked faster
      this.shown = number;
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
        this.canvas.width = bitmap.width;
        this.canvas.height = bitmap.height;
        this.element.style.setProperty("--ratio", String(bitmap.width / bitmap.height));
      }
      this.canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
      bitmap.close();
    } catch {
      return; // a damaged picture is not shown; the next one comes
    }
    this.head = head;
    this.shownAt = Date.now();
    this.fits = head.boxes_of !== null && this.tracks.sequence === head.boxes_of;
    this.check();
    this.draw();
  }

  /** @param {string} kind @param {any} message */
  #hear(kind, message) {
    if (kind === "detections" && message.camera === this.camera && !this.frozen) {
      this.tracks.take(message, this.crop); // drawn with the picture that they belong to
    } else if (kind === "camera" || kind === "live" || kind === "pictures" || kind === "gone") {
      this.check();
    }
  }

  /** Says why there is no picture, or that it is an old one. */
  check() {
    const live = this.isLive || this.frozen;
    const why = this.store.noPictures || (this.state === "streaming" ? "" : (this.status?.detail ?? ""));
    const last = this.head ? texts.lastPicture(clock(this.head.captured_at)) : texts.noPicture;
    say(this.note, live ? "" : [last, why].filter(Boolean).join(" · "));
    this.note.hidden = live;
    this.element.classList.toggle("live", live);
    if (this.element.classList.toggle("old", !live && this.head !== null)) this.#forget();
  }

  #forget() {
    if (!this.tracks.objects.length && !this.tracks.ways.size) return;
    this.tracks.clear();
    this.draw();
  }

  /** Ages in milliseconds, for a person. @returns {string} */
  ages() {
    if (!this.head || !this.isLive) return "";
    const [picture, { capturedAt }] = [this.store.age(this.head.captured_at), this.tracks];
    if (picture === null) return "";
    return `${texts.pictureAge(picture)} · ${capturedAt ? texts.boxesAge(this.store.age(capturedAt) ?? 0) : texts.boxesNone}`;
  }
}
