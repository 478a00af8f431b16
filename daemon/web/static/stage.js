// The picture that is drawn on: zoom, pan, what is where, and the shapes with their handles.

import { h, put, s } from "./dom.js";
import { anchorOf, constrained, crossingPoint, distance, edges, inside, nearestEdge, nearestOn, snapped } from "./geometry.js";
import { anchors, area, boxes, list } from "./overlay.js";
import { Picture } from "./picture.js";
import { mistakes } from "./shapes.js";
import { texts } from "./texts.js";

/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {{kind: "point"|"mid"|"remove"|"shape"|"none", index: number}} Target */
const WISH = { width: 1280, fps: 10, edited: false };
const MOST_ZOOM = 8;
const REACH = { touch: 22, mouse: 12 }; // pixels around a point

export class Stage {
  /** @param {import("./live.js").Live} live @param {string} camera @param {import("./model.js").Model} model
   * @param {AbortSignal} signal */
  constructor(live, camera, model, signal) {
    this.model = model;
    this.picture = new Picture(live, camera, WISH, signal);
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.shown = s("g", { class: "areas" });
    this.found = s("g", { "aria-hidden": "true" });
    this.svg = s("svg", { class: "overlay editing", role: "group", "aria-label": texts.editing(camera) }, this.found, this.shown);
    this.picture.overlay.replaceWith(this.svg);
    this.loupe = h("canvas", { class: "loupe", width: 240, height: 240, "aria-hidden": "true" });
    this.loupe.hidden = true;
    this.element = h("div", { class: "stage" }, this.picture.element, this.loupe);
    this.picture.at = (point) => this.at(point);
    this.picture.draw = () => this.drawFound();
    this.refocusing = false;
    const sized = new ResizeObserver(() => this.picture.element.clientWidth && this.look());
    sized.observe(this.picture.element);
    signal.addEventListener("abort", () => sized.disconnect());
    model.addEventListener("change", () => this.look());
  }

  /** The whole picture on the screen, pixels. */
  get size() {
    const { clientWidth: width, clientHeight: height } = this.picture.element;
    return { width: width * this.zoom, height: height * this.zoom };
  }

  /** @param {Point} point @returns {[number, number]} pixels of the stage */
  at([x, y]) {
    const { width, height } = this.size;
    return [x * width + this.pan.x, y * height + this.pan.y];
  }

  /** @param {{clientX: number, clientY: number}} event @returns {Point} */
  from({ clientX, clientY }) {
    const { left, top } = this.picture.element.getBoundingClientRect();
    const { width, height } = this.size;
    return [(clientX - left - this.pan.x) / width, (clientY - top - this.pan.y) / height];
  }

  /** Zooms, so that a point of the screen stays where it is. @param {number} zoom
   * @param {{clientX: number, clientY: number}} [about] by default the middle */
  zoomTo(zoom, about) {
    const { left, top, width, height } = this.picture.element.getBoundingClientRect();
    const at = about ?? { clientX: left + width / 2, clientY: top + height / 2 };
    const point = this.from(at);
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
    const [x, y] = this.at(point);
    this.pan = { x: this.pan.x + at.clientX - left - x, y: this.pan.y + at.clientY - top - y };
    this.look();
  }

  /** @param {number} dx @param {number} dy pixels */
  panBy(dx, dy) {
    this.pan = { x: this.pan.x + dx, y: this.pan.y + dy };
    this.look();
  }

  /** Draws everything again, after the picture's border has been kept outside of the stage. */
  look() {
    const { clientWidth, clientHeight } = this.picture.element;
    const { width, height } = this.size;
    this.pan.x = Math.min(0, Math.max(clientWidth - width, this.pan.x));
    this.pan.y = Math.min(0, Math.max(clientHeight - height, this.pan.y));
    const { tool, selected } = this.model;
    this.element.classList.toggle("zoomed", this.zoom > 1);
    this.element.classList.toggle("idle", this.zoom === 1 && !tool && selected < 0); // then a finger scrolls the page
    this.picture.canvas.style.transform = `translate(${this.pan.x}px, ${this.pan.y}px) scale(${this.zoom})`;
    this.draw();
    this.drawFound();
  }

  /** Where a point would go: snapped and inside the picture. @param {Point} point
   * @param {{index?: number, from?: Point|null, shift?: boolean, alt?: boolean}} how `index`: of the shape that it is of */
  place(point, { index = -1, from = null, shift = false, alt = false }) {
    const [x, y] = shift && from ? constrained(from, point, this.size) : point;
    const kept = /** @type {Point} */ ([Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))]);
    if (this.model.snap === alt || (shift && from)) return kept;
    const others = this.model.shapes.filter((_, i) => i !== index).map(({ points, kind }) => ({ points, closed: kind !== "line" }));
    return snapped(kept, others, this.size);
  }

  /** What is there to be taken. @param {Point} point @param {string} pointerType @returns {Target} */
  hit(point, pointerType) {
    const reach = pointerType === "touch" ? REACH.touch : REACH.mouse;
    const { shape, shapes } = this.model;
    const near = (/** @type {Point} */ other) => distance(other, point, this.size);
    if (shape) {
      if (this.model.point >= 0 && near(this.removePlace(shape.points[this.model.point])) <= reach) return { kind: "remove", index: this.model.point };
      const points = shape.points.map((each, index) => ({ kind: /** @type {const} */ ("point"), index, far: near(each) }));
      const mids = this.mids(shape).map((each, index) => ({ kind: /** @type {const} */ ("mid"), index, far: near(each) + 2 }));
      const [best] = [...points, ...mids].sort((a, b) => a.far - b.far);
      if (best.far <= reach) return best;
    }
    const takes = (/** @type {import("./shapes.js").Shape} */ { kind, points }) => {
      const all = kind === "line" ? [/** @type {[Point, Point]} */ (points)] : edges(points);
      return (kind !== "line" && inside(points, point)) || all.some((edge) => near(nearestOn(edge, point, this.size)) <= reach * 0.7);
    };
    if (shape && takes(shape)) return { kind: "shape", index: this.model.selected };
    const order = shapes.map((each, index) => ({ each, index })).reverse().sort((a, b) => Number(b.each.kind === "line") - Number(a.each.kind === "line"));
    const found = order.find(({ each }) => takes(each));
    return found ? { kind: "shape", index: found.index } : { kind: "none", index: -1 };
  }

  /** Of the selected shape: the edge at a point, -1 where it is none. @param {Point} point */
  edgeAt(point) {
    const { shape } = this.model;
    if (!shape || shape.kind === "line") return -1;
    const index = nearestEdge(shape.points, point, this.size);
    return distance(nearestOn(edges(shape.points)[index], point, this.size), point, this.size) <= 2 * REACH.mouse ? index : -1;
  }

  /** @param {import("./shapes.js").Shape} shape @returns {Point[]} in the middle of each edge */
  mids({ kind, points }) {
    return kind === "line" ? [] : edges(points).map(([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
  }

  /** Where the × of a point is. @param {Point} point @returns {Point} */
  removePlace([x, y]) {
    const { width, height } = this.size;
    const [px, py] = this.at([x, y]);
    const { clientWidth } = this.picture.element;
    return [x + (px + 44 > clientWidth ? -30 : 30) / width, y + (py < 44 ? 30 : -30) / height];
  }

  /** Boxes of what is in the picture, and the points that count. */
  drawFound() {
    const { tracks, crop, fits } = this.picture;
    const at = (/** @type {Point} */ point) => this.at(point);
    put(this.found, boxes(tracks, at, { tracks: true, stale: !fits }), anchors(tracks, at, (box) => anchorOf(box, { ...tracks.view, crop })));
  }

  /** The shapes; what had the focus has it again. */
  draw() {
    const { model } = this;
    const focused = document.activeElement?.getAttribute("data-key");
    const at = (/** @type {Point} */ point) => this.at(point);
    const areas = model.shapes.map((shape, i) => [this.#area(shape, i, at), i === model.selected && this.#targets(at)]);
    put(this.shown, this.#frame(), areas, this.#handles(at), model.tool && this.#draft(at));
    if (!focused) return;
    this.refocusing = true;
    /** @type {SVGElement|null} */ (this.svg.querySelector(`[data-key="${focused}"]`))?.focus();
    this.refocusing = false;
  }

  /** The part that is analysed. */
  #frame() {
    const { crop } = this.picture;
    if (!crop) return null;
    const [[x1, y1], [x2, y2]] = [this.at([crop[0], crop[1]]), this.at([crop[2], crop[3]])];
    const { width, height } = this.size;
    const [x, y] = [this.pan.x, this.pan.y];
    return s("path", { class: "crop", "fill-rule": "evenodd", d: `M${x},${y}h${width}v${height}h${-width}z M${x1},${y1}H${x2}V${y2}H${x1}z` });
  }

  /** @param {import("./shapes.js").Shape} shape @param {number} i @param {(point: Point) => [number, number]} at */
  #area(shape, i, at) {
    const { model } = this;
    const group = area(shape, at, "", {
      tabindex: "0", role: "button", "data-key": `${shape.kind}.${i}`, "aria-pressed": String(i === model.selected),
      "aria-label": `${texts.kinds[shape.kind]} ${shape.name}`, onfocus: () => this.refocusing || model.selected === i || model.select(i),
    });
    if (i === model.selected) group.classList.add("selected");
    for (const mistake of mistakes(model.shapes, i)) {
      if (!mistake.advice) group.classList.add("wrong");
      const of = edges(shape.points);
      const where = mistake.edges ? crossingPoint(of[mistake.edges[0]], of[mistake.edges[1]]) : mistake.at;
      if (where) group.append(s("circle", { class: "mistake", cx: at(where)[0], cy: at(where)[1], r: 9 }));
    }
    return group;
  }

  /** What of the selected shape takes the focus: in the order of Tab right behind it. @param {(point: Point) => [number, number]} at */
  #targets(at) {
    const { model } = this;
    const { shape } = model;
    if (!shape || model.tool) return null;
    return shape.points.map((point, i) => s(
      "circle",
      { class: "target", cx: at(point)[0], cy: at(point)[1], r: 22, tabindex: "0", role: "button", "data-key": `point.${i}`,
        "aria-label": texts.pointAt(shape.name, i + 1, point), onfocus: () => this.refocusing || model.point === i || model.select(model.selected, i) },
    ));
  }

  /** What is seen of them, above every shape. @param {(point: Point) => [number, number]} at */
  #handles(at) {
    const { model } = this;
    const { shape } = model;
    if (!shape || model.tool) return null;
    const dot = (/** @type {Point} */ point, /** @type {string} */ look, /** @type {number} */ r) => s("circle", { class: look, cx: at(point)[0], cy: at(point)[1], r });
    const mids = this.mids(shape).map((point) => dot(point, "mid", 5));
    const points = shape.points.map((point, i) => dot(point, i === model.point ? "dot selected" : "dot", 7));
    const ends = shape.kind === "line" ? shape.points.map((point, i) => s("text", { class: "end", x: at(point)[0] - 4, y: at(point)[1] - 12 }, "AB"[i])) : [];
    return s("g", { class: `handles ${shape.kind}`, "aria-hidden": "true" }, mids, ends, points, model.point >= 0 && this.#cross(shape.points[model.point]));
  }

  /** @param {Point} point */
  #cross(point) {
    const [x, y] = this.at(this.removePlace(point));
    return s("g", { class: "cross", "aria-hidden": "true" }, s("circle", { cx: x, cy: y, r: 10 }), s("path", { d: `M${x - 4},${y - 4}l8,8m0,-8l-8,8` }));
  }

  /** @param {(point: Point) => [number, number]} at */
  #draft(at) {
    const { draft, cursor, tool, outline: points } = this.model;
    const first = draft.length >= 3 && s("circle", { class: "first", cx: at(draft[0])[0], cy: at(draft[0])[1], r: 22 });
    return s(
      "g",
      { class: `draft ${tool}`, "aria-hidden": "true" },
      points.length > 2 && s("polygon", { class: "fill", points: list(points, at) }),
      points.length > 1 && s("polyline", { class: "outline", points: list(points, at) }),
      first,
      draft.map((point) => s("circle", { class: "dot", cx: at(point)[0], cy: at(point)[1], r: 7 })),
      cursor && s("path", { class: "cursor", d: `M${at(cursor).join(",")}m-9,0h18m-9,-9v18` }),
    );
  }
}
