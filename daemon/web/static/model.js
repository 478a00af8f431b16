// What the editor holds: the shapes with their history, what is selected, what is being drawn.

import { round4, rounded } from "./geometry.js";
import { History } from "./history.js";
import * as shapes from "./shapes.js";
import { texts } from "./texts.js";

/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {import("./shapes.js").Kind} Kind */
/** @typedef {import("./geometry.js").Point} Point */

export class Model extends EventTarget {
  /** @param {Shape[]} file as the file has them */
  constructor(file) {
    super();
    /** @type {History<Shape[]>} */
    this.history = new History(file);
    this.saved = JSON.stringify(file);
    /** @type {Shape[]|null} while something is dragged */
    this.preview = null;
    this.selected = -1;
    this.point = -1;
    /** @type {Kind|null} what is being drawn */
    this.tool = null;
    /** @type {Point[]} its points so far */
    this.draft = [];
    /** @type {Point[]|null} what a drag would draw */
    this.rubber = null;
    /** @type {Point|null} where the next one would be */
    this.cursor = null;
    this.snap = true;
  }

  get shapes() {
    return this.preview ?? this.history.present;
  }

  /** @returns {Shape|undefined} */
  get shape() {
    return this.shapes[this.selected];
  }

  get dirty() {
    return JSON.stringify(this.history.present) !== this.saved;
  }

  /** What is drawn so far, with the point that would be the next. @returns {Point[]} */
  get outline() {
    return this.rubber ?? (this.cursor ? [...this.draft, this.cursor] : this.draft);
  }

  /** Tells that something is different. @param {string} [said] for those who do not see it */
  tell(said = "") {
    this.selected = Math.min(this.selected, this.shapes.length - 1);
    if (this.point >= (this.shape?.points.length ?? 0)) this.point = -1;
    this.dispatchEvent(new CustomEvent("change", { detail: said }));
  }

  /** A step, which can be undone. @param {Shape[]} to @param {string} [said] */
  step(to, said) {
    this.preview = null;
    this.history.push(to);
    this.tell(said);
  }

  /** A step of the selected shape. @param {Shape} to @param {string} [said] */
  change(to, said) {
    if (this.shape) this.step(shapes.replaced(this.history.present, this.selected, to), said);
  }

  /** Of the selected shape, until `keep` or `revert`. @param {Shape} to */
  show(to) {
    this.preview = shapes.replaced(this.history.present, this.selected, to);
    this.tell();
  }

  /** @param {string} [said] */
  keep(said) {
    if (this.preview) this.step(this.preview, said);
  }

  revert() {
    this.preview = null;
    this.tell();
  }

  /** @param {number} index @param {number} [point] */
  select(index, point = -1) {
    if (index === this.selected && point === this.point) return;
    this.selected = index;
    this.point = point;
    this.tell(this.describe());
  }

  /** @returns {string} what is selected */
  describe() {
    const { shape } = this;
    if (!shape) return texts.nothingSelected;
    const name = `${texts.kinds[shape.kind]} ${shape.name}`;
    return this.point < 0 ? name : texts.pointAt(name, this.point + 1, shape.points[this.point]);
  }

  undo() {
    this.preview = null;
    this.history.undo();
    this.tell(texts.undone);
  }

  redo() {
    this.preview = null;
    this.history.redo();
    this.tell(texts.redone);
  }

  /** Begins to draw. @param {Kind|null} kind null: ends it without a shape */
  draw(kind) {
    this.preview = null;
    this.tool = kind;
    this.draft = [];
    this.cursor = this.rubber = null;
    if (kind) this.selected = this.point = -1;
    this.tell(kind ? texts.drawing[kind] : texts.selecting);
  }

  /** @param {Point} point */
  place(point) {
    const last = this.draft[this.draft.length - 1];
    if (last && last.every((value, i) => value === round4(point[i]))) return;
    this.draft = [...this.draft, rounded(point)];
    if (this.tool === "line" && this.draft.length === 2) this.finish();
    else this.tell(texts.pointAt("", this.draft.length, rounded(point)));
  }

  takeBack() {
    this.draft = this.draft.slice(0, -1);
    this.tell(texts.takenBack);
  }

  /** Makes a shape of what was drawn, where that is enough for one. */
  finish() {
    const { tool, draft } = this;
    if (!tool || draft.length < shapes.fewest(tool)) return;
    this.tool = this.cursor = null;
    this.draft = [];
    const before = this.history.present;
    const made = shapes.drawn(tool, draft, before);
    const after = shapes.added(before, made);
    this.selected = after.findIndex((each) => each.points === made.points);
    this.point = -1;
    this.step(after, texts.made(`${texts.kinds[made.kind]} ${made.name}`));
  }

  /** @param {number} point */
  removePoint(point) {
    const { shape } = this;
    if (!shape) return;
    const to = shapes.withoutPoint(shape, point);
    this.point = Math.min(point, to.points.length - 1);
    if (to === shape) this.tell(texts.tooFew);
    else this.change(to, texts.pointRemoved);
  }

  /** @param {number} index of the edge's first point @param {Point} point */
  insert(index, point) {
    const { shape } = this;
    if (!shape) return;
    const to = shapes.withInserted(shape, index, point);
    if (to === shape) return;
    this.point = index + 1;
    this.change(to, texts.pointAdded);
  }

  /** Of what is selected, a point or a whole shape. @param {number} dx @param {number} dy */
  nudge(dx, dy) {
    const { shape, point } = this;
    if (!shape) return;
    const [x, y] = shape.points[point] ?? [0, 0];
    const to = point < 0 ? shapes.shifted(shape, dx, dy) : shapes.withPoint(shape, point, [x + dx, y + dy]);
    this.step(shapes.replaced(this.history.present, this.selected, to));
    this.tell(this.describe());
  }

  remove() {
    if (!this.shape) return;
    const name = this.describe();
    const to = shapes.without(this.history.present, this.selected);
    this.point = -1;
    this.selected = -1;
    this.step(to, texts.removed(name));
  }

  /** @param {Shape} copied */
  paste(copied) {
    const before = this.history.present;
    const after = shapes.pasted(before, copied);
    this.selected = after.findIndex((each) => !before.some((other) => other.points === each.points));
    this.point = -1;
    this.step(after, texts.made(copied.name));
  }

  /** @param {number} by places */
  order(by) {
    const to = shapes.reordered(this.history.present, this.selected, by);
    if (to === this.history.present) return;
    this.selected += by;
    this.step(to, texts.ordered);
  }

  /** What is on disk now. @param {string} saved */
  wasSaved(saved) {
    this.saved = saved;
    this.tell();
  }
}
