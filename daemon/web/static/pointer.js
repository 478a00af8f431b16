// Mouse, pen and fingers on the stage. Two fingers zoom and pan, and never add or move a point.

import { distance } from "./geometry.js";
import { hideLoupe, showLoupe } from "./loupe.js";
import { shifted, withInserted, withPoint } from "./shapes.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {{target: import("./stage.js").Target, start: PointerEvent, from: Point, shape: import("./shapes.js").Shape|null,
 *   mine: boolean, moved: boolean}} Drag `from`: where it began; `shape`: the selected one as it was then */

const LONG_PRESS = 500; // milliseconds
const CLOSES = 22; // pixels around the first point
const STILL = { touch: 8, mouse: 3, pen: 5 }; // pixels that a tap may move

export class Pointer {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.model = stage.model;
    /** @type {Map<number, PointerEvent>} what is down */
    this.down = new Map();
    /** @type {Drag|null} */
    this.drag = null;
    this.pinched = false; // until every finger is up
    this.timer = 0;
    const { svg } = stage;
    svg.addEventListener("pointerdown", (event) => this.#press(event));
    svg.addEventListener("pointermove", (event) => this.#move(event));
    svg.addEventListener("pointerup", (event) => this.#lift(event));
    svg.addEventListener("pointercancel", (event) => this.#lift(event, true));
    svg.addEventListener("pointerleave", () => this.down.size || this.#hover(null));
    svg.addEventListener("dblclick", (event) => this.#double(event));
    svg.addEventListener("contextmenu", (event) => this.#menu(event));
    svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.stage.svg.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, event);
    if (this.down.size > 1) {
      this.#abandon();
      this.pinched = true;
      return;
    }
    const from = this.stage.from(event);
    const { model } = this;
    const target = model.tool ? { kind: /** @type {const} */ ("none"), index: -1 } : this.stage.hit(from, event.pointerType);
    const mine = target.kind !== "shape" || event.pointerType !== "touch" || target.index === model.selected;
    if (target.kind === "shape") model.select(target.index);
    if (target.kind === "point") {
      model.select(model.selected, target.index);
      if (event.pointerType === "touch") this.timer = window.setTimeout(() => this.#long(target.index), LONG_PRESS);
    }
    this.drag = { target, start: event, from, shape: model.shape ?? null, mine, moved: false };
    if (model.tool && event.pointerType === "touch") this.#loupe(event, from);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.down.has(event.pointerId)) {
      this.#hover(event);
      return;
    }
    const before = [...this.down.values()];
    this.down.set(event.pointerId, event);
    if (this.down.size > 1) this.#pinch(before, [...this.down.values()]);
    else if (this.drag && !this.pinched) this.#dragTo(this.drag, event);
  }

  /** @param {Drag} drag @param {PointerEvent} event */
  #dragTo(drag, event) {
    const { start, target, from, shape } = drag;
    const still = STILL[/** @type {"mouse"} */ (event.pointerType)] ?? STILL.mouse;
    if (!drag.moved && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < still) return;
    clearTimeout(this.timer);
    drag.moved = true;
    const { model, stage } = this;
    const to = stage.from(event);
    const by = [to[0] - from[0], to[1] - from[1]];
    if (model.tool) {
      const point = stage.place(to, { from, shift: event.shiftKey, alt: event.altKey });
      if (!model.draft.length) this.#rubber(from, point);
      this.#loupe(event, point);
    } else if (target.kind === "none" || !drag.mine) {
      if (stage.zoom > 1) stage.panBy(event.movementX, event.movementY);
    } else if (shape && target.kind === "shape") {
      model.show(shifted(shape, by[0], by[1]));
    } else if (shape) {
      const mid = target.kind === "mid";
      const of = mid ? withInserted(shape, target.index, from) : shape;
      const index = mid ? target.index + 1 : target.index;
      const [x, y] = of.points[index] ?? shape.points[target.index];
      const neighbour = of.points[(index + of.points.length - 1) % of.points.length];
      const point = stage.place([x + by[0], y + by[1]], { index: model.selected, from: neighbour, shift: event.shiftKey, alt: event.altKey });
      model.point = index;
      model.show(withPoint(of, index, point));
      this.#loupe(event, point);
    }
  }

  /** A drag with a tool: a rectangle, or a line. @param {Point} from @param {Point} to */
  #rubber(from, to) {
    const { model } = this;
    model.cursor = null;
    model.rubber = model.tool === "line" ? [from, to] : [from, [to[0], from[1]], to, [from[0], to[1]]];
    this.stage.draw();
  }

  /** @param {PointerEvent} event @param {boolean} [cancelled] */
  #lift(event, cancelled = false) {
    clearTimeout(this.timer);
    const { drag, model, stage } = this;
    const known = this.down.delete(event.pointerId);
    hideLoupe(stage);
    if (!known || !drag || this.pinched || cancelled) {
      if (drag) this.#abandon();
      if (!this.down.size) this.pinched = false;
      return;
    }
    this.drag = null;
    if (model.tool) this.#set(drag, event);
    else if (drag.moved) model.keep(model.describe());
    else if (drag.target.kind === "remove") model.removePoint(drag.target.index);
    else if (drag.target.kind === "mid" && drag.shape) model.insert(drag.target.index, drag.from);
    else if (drag.target.kind === "none") model.select(-1);
  }

  /** Sets a point of what is drawn, or closes it. @param {Drag} drag @param {PointerEvent} event */
  #set(drag, event) {
    const { model, stage } = this;
    if (model.rubber) {
      const far = distance(drag.from, stage.from(event), stage.size);
      [model.draft, model.rubber] = [far > 12 ? model.rubber : [], null];
      model.finish();
      stage.draw();
      return;
    }
    const point = stage.from(event);
    const [first] = model.draft;
    if (model.draft.length >= 3 && distance(first, point, stage.size) <= CLOSES) {
      model.finish();
      return;
    }
    model.cursor = null;
    model.place(stage.place(point, { from: model.draft[model.draft.length - 1] ?? null, shift: event.shiftKey, alt: event.altKey }));
  }

  /** @param {PointerEvent[]} before @param {PointerEvent[]} after */
  #pinch([a, b], [c, d]) {
    const { stage } = this;
    const middle = (/** @type {PointerEvent} */ p, /** @type {PointerEvent} */ q) => ({ clientX: (p.clientX + q.clientX) / 2, clientY: (p.clientY + q.clientY) / 2 });
    const apart = (/** @type {PointerEvent} */ p, /** @type {PointerEvent} */ q) => Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY) || 1;
    const [from, to] = [middle(a, b), middle(c, d)];
    stage.panBy(to.clientX - from.clientX, to.clientY - from.clientY);
    stage.zoomTo((stage.zoom * apart(c, d)) / apart(a, b), to);
  }

  /** Ends a drag as if it had not been. */
  #abandon() {
    clearTimeout(this.timer);
    this.drag = null;
    this.model.rubber = null;
    hideLoupe(this.stage);
    this.model.revert();
  }

  /** @param {number} index of a point */
  #long(index) {
    this.#abandon();
    this.pinched = true; // what follows until the finger is up is no tap
    navigator.vibrate?.(20);
    this.model.removePoint(index);
  }

  /** @param {PointerEvent|null} event */
  #hover(event) {
    const { model, stage } = this;
    if (!model.tool || event?.pointerType === "touch") return;
    model.cursor = event && stage.place(stage.from(event), { from: model.draft[model.draft.length - 1] ?? null, shift: event.shiftKey, alt: event.altKey });
    stage.draw();
  }

  /** @param {MouseEvent} event */
  #double(event) {
    const { model, stage } = this;
    if (model.tool) {
      model.finish();
      return;
    }
    const point = stage.from(event);
    const edge = stage.hit(point, "mouse").kind === "shape" ? stage.edgeAt(point) : -1;
    if (edge >= 0) model.insert(edge, point);
  }

  /** @param {MouseEvent} event */
  #menu(event) {
    event.preventDefault();
    const target = this.model.tool || this.drag ? null : this.stage.hit(this.stage.from(event), "mouse");
    if (target?.kind === "point") this.model.removePoint(target.index);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const { stage } = this;
    if (stage.zoom === 1 && event.deltaY > 0) return; // the page scrolls
    event.preventDefault();
    stage.zoomTo(stage.zoom * Math.exp(-event.deltaY / 300), event);
  }

  /** @param {PointerEvent} event @param {Point} point */
  #loupe(event, point) {
    if (event.pointerType === "touch") showLoupe(this.stage, event, point);
  }
}
