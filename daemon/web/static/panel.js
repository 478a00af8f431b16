// Beside the stage: all shapes with what is in them now, and the selected one's name, keys and points.

import { h, icon, put, say } from "./dom.js";
import { form } from "./form.js";
import { counted } from "./format.js";
import * as shapes from "./shapes.js";
import { texts } from "./texts.js";

/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {{path: string, line: number|null, sentence: string}} ServerMistake */
/** @typedef {{schema: Record<string, any>, labels: string[], copy: () => void}} About */

/** @param {string} name @param {string} text @param {() => void} onclick @param {Record<string, any>} [more] */
export const tool = (name, text, onclick, more = {}) =>
  h("button", { type: "button", class: "tool", title: text, "aria-label": text, onclick, ...more }, icon(name), h("span", {}, text));

/** @param {Shape} shape @returns {string} its place in the file */
export const pathOf = (shape) => (shape.kind === "mask" ? `masks.${Number(shape.name) - 1}` : `${shape.kind}s.${shape.name}`);

export class Panel {
  /** @param {import("./stage.js").Stage} stage @param {About} about */
  constructor(stage, about) {
    this.stage = stage;
    this.model = stage.model;
    this.about = about;
    /** @type {ServerMistake[]} */
    this.mistakes = [];
    /** @type {HTMLElement[]} what is in each shape now */
    this.notes = [];
    this.drawing = h("p", { class: "drafting" });
    this.list = h("div", { class: "shapes" });
    this.detail = h("section", { class: "detail", "aria-label": texts.select });
    this.told = "";
    this.element = h("div", { class: "panel" }, this.drawing, this.list, this.detail);
    this.model.addEventListener("change", () => this.draw());
  }

  /** @param {ServerMistake[]} found */
  setMistakes(found) {
    this.mistakes = found;
    this.draw();
  }

  /** Everything that is wrong with a shape, as sentences. @param {number} index @returns {string[]} */
  wrong(index) {
    const shape = this.model.shapes[index];
    const own = shapes.mistakes(this.model.shapes, index).map(({ code }) => texts.mistakes[/** @type {"name"} */ (code)]);
    const path = pathOf(shape);
    const served = this.mistakes.filter((each) => each.path === path || each.path.startsWith(`${path}.`)).map((each) => [each.path.slice(path.length + 1), each.sentence].filter(Boolean).join(": "));
    return own.length ? own : served;
  }

  draw() {
    const { model } = this;
    const focused = document.activeElement?.id;
    this.#drawList();
    const told = JSON.stringify([model.selected, model.preview === null && model.shape, model.point, model.shapes.length]);
    if (model.preview === null && told !== this.told) {
      this.told = told;
      put(this.detail, model.shape && this.#drawDetail(model.shape));
      if (focused && this.element.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused)?.focus();
    }
    this.now();
  }

  #drawList() {
    const { model } = this;
    const focused = document.activeElement?.id;
    this.notes = [];
    const groups = /** @type {const} */ (["zone", "line", "mask"]).map((kind) => {
      const items = model.shapes.flatMap((shape, i) => (shape.kind === kind ? [this.#item(shape, i)] : []));
      return items.length ? [h("h2", {}, texts.groups[kind]), h("ul", {}, items)] : [];
    });
    const whole = this.mistakes.filter(({ path }) => !model.shapes.some((each) => path.startsWith(pathOf(each))));
    put(this.list, whole.map(({ sentence }) => h("p", { class: "mistake" }, sentence)), groups.flat(), !model.shapes.length && h("p", { class: "dim" }, texts.empty));
    if (focused && this.list.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused)?.focus();
  }

  /** @param {Shape} shape @param {number} i */
  #item(shape, i) {
    const note = h("span", { class: "note" });
    this.notes[i] = note;
    const name = shape.kind === "mask" ? `${texts.kinds.mask} ${shape.name}` : shape.name;
    const button = h("button", { type: "button", id: `item-${i}`, class: `item ${shape.kind}`, "aria-pressed": String(i === this.model.selected), onclick: () => this.model.select(i) }, h("strong", {}, name), note);
    return h("li", {}, button, this.wrong(i).map((sentence) => h("p", { class: "mistake" }, sentence)));
  }

  /** Says who is inside now. */
  now() {
    const { tracks } = this.stage.picture;
    const view = { ...tracks.view, crop: this.stage.picture.crop };
    const note = (/** @type {Shape} */ shape) => {
      if (shape.kind === "zone") return texts.insideNow(counted(shapes.insideNow(shape, tracks.objects, view)));
      const crossed = shapes.crossingsOf(shape, tracks.ways.values(), view);
      return texts.crossedNow(crossed.in, crossed.out);
    };
    this.model.shapes.forEach((shape, i) => this.notes[i] && shape.kind !== "mask" && say(this.notes[i], note(shape)));
    const { tool: kind, outline } = this.model;
    const drawn = kind && kind !== "mask" && outline.length >= shapes.fewest(kind) ? shapes.drawn(kind, outline, this.model.shapes) : null;
    say(this.drawing, drawn ? `${drawn.name}: ${note(drawn)}` : "");
    this.drawing.hidden = !drawn;
  }

  /** @param {Shape} shape */
  #drawDetail(shape) {
    const { model, about } = this;
    const order = (/** @type {number} */ by) => () => model.order(by);
    const name = h("input", { id: "shape-name", value: shape.name, autocomplete: "off", maxlength: 64, onchange: () => model.change({ ...shape, name: name.value }) });
    const schema = about.schema[shape.kind] ?? {};
    return [
      h("h2", {}, `${texts.kinds[shape.kind]} ${shape.name}`),
      h(
        "div",
        { class: "actions", role: "group", "aria-label": texts.select },
        shape.kind === "line" && tool("swap", texts.swap, () => model.change(shapes.swapped(shape), texts.swap)),
        tool("duplicate", texts.duplicate, () => model.paste(shape)),
        tool("copy", texts.copy, about.copy),
        tool("up", texts.earlier, order(-1)),
        tool("down", texts.later, order(1)),
        tool("remove", texts.remove, () => model.remove()),
      ),
      shape.kind !== "mask" && h("div", { class: "key" }, h("label", { for: "shape-name" }, texts.name), name),
      shape.kind !== "mask" && form(schema, shape.keys, about.labels, (keys) => model.change({ ...shape, keys })),
      this.#points(shape),
    ].flat();
  }

  /** A table that does everything without dragging. @param {Shape} shape */
  #points(shape) {
    const { model } = this;
    const field = (/** @type {number} */ i, /** @type {0|1} */ axis) => {
      const input = h("input", {
        id: `point-${i}-${axis}`, type: "number", min: 0, max: 1, step: 0.002, value: shape.points[i][axis],
        "aria-label": texts.pointAt(axis ? texts.y : texts.x, i + 1, shape.points[i]),
        onfocus: () => { this.model.point = i; },
        onchange: () => model.change(shapes.withPoint(shape, i, axis ? [shape.points[i][0], Number(input.value)] : [Number(input.value), shape.points[i][1]]), model.describe()),
      });
      return h("td", {}, input);
    };
    const row = (/** @type {number} */ i) => {
      const [a, b] = [shape.points[i], shape.points[(i + 1) % shape.points.length]];
      const middle = /** @type {[number, number]} */ ([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
      const cells = shape.kind === "line" ? [] : [
        tool("plus", texts.addAfter, () => { model.insert(i, middle); }, { id: `add-${i}` }),
        tool("remove", texts.removePoint, () => model.removePoint(i), { id: `remove-${i}`, disabled: shape.points.length <= shapes.fewest(shape.kind) }),
      ];
      return h("tr", { class: i === model.point ? "selected" : "" }, h("th", { scope: "row" }, shape.kind === "line" ? "AB"[i] : i + 1), field(i, 0), field(i, 1), h("td", { class: "tools" }, cells));
    };
    return h(
      "table",
      { class: "points" },
      h("caption", {}, texts.points),
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, texts.x), h("th", { scope: "col" }, texts.y), h("td", {}))),
      h("tbody", {}, shape.points.map((_, i) => row(i))),
    );
  }
}
